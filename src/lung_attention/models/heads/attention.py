"""The head as the paper describes it: soft attention before the dense layers."""

from __future__ import annotations

import keras

from lung_attention.models.attention import SoftAttention
from lung_attention.models.heads.dense import dense_head
from lung_attention.training.recipe import Recipe


def build(
    feature_shape: tuple[int, int, int], n_classes: int, recipe: Recipe, *, seed: int
) -> keras.Model:  # fmt: skip
    """Builds the attention head; what arguments and result are stands with `heads.build_head`."""
    features = keras.Input(feature_shape, name="features")
    x = SoftAttention(
        n_maps=recipe.attention_maps,
        gamma=recipe.attention_gamma,
        activation=recipe.attention_activation,
        seed=seed,
        name="soft_attention",
    )(features)
    return dense_head(features, x, n_classes, recipe, seed=seed)
