"""The dense part of a head: from a feature map to class probabilities."""

from __future__ import annotations

from typing import Any

import keras

from lung_attention.training.recipe import Recipe


def dense_head(features: Any, x: Any, n_classes: int, recipe: Recipe, *, seed: int) -> keras.Model:
    """Builds Flatten (or pooling) → Dense … → softmax on a feature map.

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
    if recipe.pooling == "average":
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    else:
        x = keras.layers.Flatten(name="flatten")(x)
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
    probabilities = keras.layers.Dense(
        n_classes,
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed + len(recipe.hidden_units) + 1),
        name="probabilities",
    )(x)
    return keras.Model(features, probabilities, name="head")
