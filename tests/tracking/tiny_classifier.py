"""A tiny classifier with the interface of the real ones, and their head: it has layers of the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.training.recipe import Recipe

if TYPE_CHECKING:
    import keras


def write_classifier(path: Path, *, classes: int) -> keras.Model:
    """Builds the classifier, writes its `.keras` file and returns it."""
    import keras

    from lung_attention.models.heads import build_head

    keras.utils.set_random_seed(0)
    recipe = Recipe(
        view="whole", epochs=1, batch_size=8, optimizer="adam", learning_rate=0.001, class_weights="none",
        jit_compile=False, pooling="flatten", hidden_units=(8,), dropout=0.0, l2=0.0, start="random",
        attention_maps=2, attention_gamma=0.01, attention_activation="relu",
    )  # fmt: skip
    model = keras.Sequential(
        [
            keras.Input((None, None, 3), dtype="uint8"),
            keras.layers.Resizing(8, 8),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 2, strides=2),
            build_head("attention", (4, 4, 8), classes, recipe, seed=0),
        ]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    model.save(path, include_optimizer=False)
    return model
