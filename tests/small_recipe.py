"""A small recipe for tests, in which each changes what it is about."""

from dataclasses import replace

from lung_attention.training.finetuning import Augmentation, Finetuning
from lung_attention.training.recipe import Recipe

SMALL = Recipe(
    view="whole",
    epochs=2,
    batch_size=16,
    optimizer="adam",
    learning_rate=1e-2,
    class_weights="none",
    jit_compile=False,
    pooling="flatten",
    hidden_units=(8,),
    dropout=0.0,
    l2=0.0,
    start="random",
    attention_maps=2,
    attention_gamma=0.01,
    attention_activation="relu",
)

TUNING = Finetuning(
    trainable=0.1,
    epochs=2,
    batch_size=8,
    learning_rate=1e-3,
    weight_decay=1e-2,
    dropout=0.3,
    averaged_epochs=1,
    images_per_epoch=None,
    augmentation=Augmentation(shift=0.1, turns=8, brightness=0.1, contrast=0.1),
    turns=4,
    calibration_folds=3,
    mixed_precision="auto",
    jit_compile=False,
)


def small_recipe(**changes):
    """The small recipe with some settings changed."""
    return replace(SMALL, **changes)
