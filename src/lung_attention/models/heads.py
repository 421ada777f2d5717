"""What is trained: from backbone features to class probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from lung_attention.models.attention import SoftAttention


def build_head(
    feature_shape: tuple[int, int, int],
    n_classes: int,
    *,
    attention: bool,
    hidden_units: Sequence[int],
    attention_maps: int,
    attention_gamma: float,
    attention_activation: str,
    pooling: str,
    dropout: float,
    l2: float,
    seed: int,
) -> keras.Model:
    """Builds the published head: (soft attention →) Flatten → Dense … → softmax.

    Every layer draws its weights from its own seed, so a plain and an attention head of the same seed start
    from the same dense weights.

    Args:
        feature_shape: `(rows, cols, channels)` of the backbone's features.
        n_classes: Number of classes.
        attention: Whether the soft attention stands between backbone and Flatten.
        hidden_units: Widths of the relu layers.
        attention_maps: n of `SoftAttention`.
        attention_gamma: Start value of γ of `SoftAttention`.
        attention_activation: Activation of `SoftAttention`.
        pooling: `flatten`, as published, or `average` over the positions.
        dropout: Fraction dropped after each relu layer; 0 adds no layer.
        l2: Factor of the squared dense kernels in the loss.
        seed: Seed of all weights.

    Returns:
        A model from features `(batch_size, rows, cols, channels)` to probabilities `(batch_size, n_classes)`.
    """
    features = keras.Input(feature_shape, name="features")
    x = features
    if attention:
        x = SoftAttention(
            n_maps=attention_maps,
            gamma=attention_gamma,
            activation=attention_activation,
            seed=seed,
            name="soft_attention",
        )(x)
    if pooling == "average":
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
    else:
        x = keras.layers.Flatten(name="flatten")(x)
    for number, units in enumerate(hidden_units, start=1):
        x = keras.layers.Dense(
            units,
            activation="relu",
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed + number),
            kernel_regularizer=keras.regularizers.L2(l2) if l2 else None,
            name=f"dense_{number}",
        )(x)
        if dropout:
            x = keras.layers.Dropout(dropout, seed=seed + number, name=f"dropout_{number}")(x)
    probabilities = keras.layers.Dense(
        n_classes,
        activation="softmax",
        kernel_initializer=keras.initializers.GlorotUniform(seed=seed + len(hidden_units) + 1),
        name="probabilities",
    )(x)
    return keras.Model(features, probabilities, name="head")
