"""The whole classifier: an image of any size in, probabilities out."""

from __future__ import annotations

from dataclasses import dataclass

import keras

from lung_attention.models.backbones import BACKBONES


@dataclass(frozen=True)
class Resize:
    """How an image of any size becomes the square that a backbone takes.

    Attributes:
        image_size_px: Side of the square; the image is squeezed, not cropped.
        interpolation: The filter, a name `keras.layers.Resizing` knows.
        antialias: Whether the filter is widened when an image is made smaller.
    """

    image_size_px: int
    interpolation: str
    antialias: bool


def build_preprocessing(backbone_name: str, resize: Resize) -> keras.Model:
    """Builds the step from pixels to the backbone's input, the same in feature extraction and prediction.

    Args:
        backbone_name: A key of `BACKBONES`, which fixes the scaling.
        resize: The size and its filter.

    Returns:
        A model from pixels 0..255 `(batch_size, height, width, 3)` to floats
        `(batch_size, image_size_px, image_size_px, 3)`.
    """
    spec = BACKBONES[backbone_name]
    pixels = keras.Input((None, None, 3), dtype="uint8", name="image")
    squeeze = keras.layers.Resizing(
        resize.image_size_px,
        resize.image_size_px,
        interpolation=resize.interpolation,
        antialias=resize.antialias,
        name="resize",
    )
    scale = keras.layers.Rescaling(spec.scale, spec.offset, name="scale")
    return keras.Model(pixels, scale(squeeze(pixels)), name="preprocessing")


def build_classifier(
    preprocessing: keras.Model, backbone: keras.Model, head: keras.Model
) -> keras.Model:  # fmt: skip
    """Puts preprocessing, backbone and head together.

    Returns:
        A model from uint8 pixels `(batch_size, height, width, 3)` to probabilities `(batch_size, classes)`,
        uncompiled, so that its file carries no optimizer state.
    """
    # A fitted head would be saved with the state of its optimizer; this one shares its weights and has none.
    head = keras.Model(head.inputs, head.outputs, name=head.name)
    pixels = keras.Input((None, None, 3), dtype="uint8", name="image")
    return keras.Model(pixels, head(backbone(preprocessing(pixels))), name="lung_attention")
