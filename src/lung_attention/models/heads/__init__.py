"""Heads: what is trained on the features of a frozen backbone. A head is a module with a function `build`.

A module is imported when it is used, so that the configuration can look at the table without TensorFlow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

    from lung_attention.training.recipe import Recipe

HEADS = {
    "plain": "lung_attention.models.heads.plain",
    "attention": "lung_attention.models.heads.attention",
}
"""The module of each head."""


def build_head(
    head: str, feature_shape: tuple[int, int, int], n_classes: int, recipe: Recipe, *, seed: int
) -> keras.Model:
    """Builds a head by its name.

    Args:
        head: A key of `HEADS`.
        feature_shape: `(rows, cols, channels)` of the backbone's features.
        n_classes: Number of classes.
        recipe: How it is built.
        seed: Seed of all weights.

    Returns:
        A model from features `(batch_size, rows, cols, channels)` to probabilities `(batch_size, n_classes)`.
    """
    built: keras.Model = import_module(HEADS[head]).build(feature_shape, n_classes, recipe, seed=seed)
    return built
