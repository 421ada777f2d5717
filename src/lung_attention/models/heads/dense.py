"""The dense part of a head: from a feature map to class probabilities."""

from __future__ import annotations

from typing import Any

import keras

from lung_attention.models.logistic import Linear
from lung_attention.training.recipe import Recipe


def dense_head(features: Any, x: Any, n_classes: int, recipe: Recipe, *, seed: int) -> keras.Model:
    """Builds Flatten (or pooling) → Dense … → softmax on a feature map.

    A head that starts from a logistic regression standardises its columns first; `set_linear` fills them in.

    Every layer draws its weights from its own seed, so that heads of the same seed start from the same dense
    weights, whatever stands before these.

    Args:
        features: The head's input, a Keras tensor `(batch_size, rows, cols, channels)`.
        x: What was made of it, of the same shape.
        n_classes: Number of classes.
        recipe: Pooling, widths, dropout and penalty.
        seed: Seed of all weights.

    Returns:
        A model from `features` to probabilities `(batch_size, n_classes)`.
    """
    if recipe.pooling == "flatten":
        x = keras.layers.Flatten(name="flatten")(x)
    else:
        columns = [keras.layers.GlobalAveragePooling2D(name="average")(x)]
        if recipe.pooling == "average_max":
            columns.append(keras.layers.GlobalMaxPooling2D(name="maximum")(x))
        x = columns[0] if len(columns) == 1 else keras.layers.Concatenate(name="columns")(columns)
    if recipe.start == "logistic":
        # Frozen, it subtracts given means and divides by given deviations.
        x = keras.layers.BatchNormalization(
            center=False, scale=False, epsilon=0.0, trainable=False, name="standardise"
        )(x)
    for number, units in enumerate(recipe.hidden_units, start=1):
        x = keras.layers.Dense(
            units,
            activation="relu",
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed + number),
            kernel_regularizer=keras.regularizers.L2(recipe.l2) if recipe.l2 else None,
            name=f"dense_{number}",
        )(x)
        if recipe.dropout:
            x = keras.layers.Dropout(recipe.dropout, seed=seed + number, name=f"dropout_{number}")(x)
    if recipe.dropout and not recipe.hidden_units:
        x = keras.layers.Dropout(recipe.dropout, seed=seed, name="dropout")(x)
    probabilities = keras.layers.Dense(
        n_classes,
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed + len(recipe.hidden_units) + 1),
        kernel_regularizer=None if recipe.hidden_units or not recipe.l2 else keras.regularizers.L2(recipe.l2),
        name="probabilities",
    )(x)
    return keras.Model(features, probabilities, name="head")


def set_linear(head: keras.Model, linear: Linear) -> None:
    """Gives a linear head that starts from a logistic regression the weights of one.

    Args:
        head: Built with `start: logistic`; changed.
        linear: The regression, on its columns.
    """
    head.get_layer("standardise").set_weights([linear.mean, linear.scale**2])
    head.get_layer("probabilities").set_weights([linear.kernel, linear.bias])


def divide_logits(head: keras.Model, temperature: float) -> None:
    """Divides the logits of a head by a temperature, in its last layer; its decisions stay as they are.

    Args:
        head: From features to probabilities; changed.
        temperature: Above 0.
    """
    last = head.get_layer("probabilities")
    last.set_weights([weights / temperature for weights in last.get_weights()])
