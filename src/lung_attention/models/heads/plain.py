"""The head of the published code as it really ran: dense layers on the features."""

from __future__ import annotations

import keras

from lung_attention.models.heads.dense import dense_head
from lung_attention.training.recipe import Recipe


def build(
    feature_shape: tuple[int, int, int], n_classes: int, recipe: Recipe, *, seed: int
) -> keras.Model:  # fmt: skip
    """Builds the plain head; what arguments and result are stands with `heads.build_head`."""
    features = keras.Input(feature_shape, name="features")
    return dense_head(features, features, n_classes, recipe, seed=seed)
