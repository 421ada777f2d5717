"""ImageNet backbones of `keras.applications`, frozen and without their top."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from lung_attention.errors import UserError
from lung_attention.models.backbone_table import BACKBONES


def build_backbone(name: str, image_size_px: int, *, weights: Path | None = None) -> keras.Model:
    """Builds a frozen backbone.

    Args:
        name: A key of `BACKBONES`.
        image_size_px: Side of the square input.
        weights: A weight file of this architecture without top; `None` leaves random weights.

    Returns:
        A model from scaled pixels `(batch_size, image_size_px, image_size_px, 3)` to features
        `(batch_size, rows, cols, channels)`; a stride of 32 px gives 7 x 7 at 224 px and 4 x 4 at 128 px.

    Raises:
        UserError: The weight file does not fit the architecture.
    """
    build = getattr(keras.applications, BACKBONES[name].application)
    backbone = build(
        include_top=False, weights=None, input_shape=(image_size_px, image_size_px, 3), name=name
    )
    if weights is not None:
        try:
            backbone.load_weights(weights)
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"{weights} does not fit {BACKBONES[name].application} without top: {error}",
                remedy="fetch the weight file again",
            ) from error
    backbone.trainable = False
    return backbone


def random_backbone(
    name: str, *, images: npt.NDArray[np.uint8], seed: int
) -> keras.Model:  # fmt: skip
    """Builds a backbone with random weights whose features have a sensible mean and spread.

    Freshly initialised batch normalisation lets the features of a deep network shrink to nothing. One pass in
    training mode with momentum 0 sets its moving statistics to those of the given images.

    Args:
        name: A key of `BACKBONES`.
        images: uint8 `(n, size, size, 3)`: fixed images, never those of a training set, on which the
            features would then depend.
        seed: Seed of the weights.

    Returns:
        The backbone, built for the size of `images`; its weights do not depend on the size.
    """
    keras.utils.set_random_seed(seed)
    backbone = build_backbone(name, images.shape[1])
    normalisations = [
        layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    backbone.trainable = True
    for layer in normalisations:
        layer.momentum = 0.0
    scaling = BACKBONES[name].scaling
    pixels = images.astype("float32") * np.array(scaling.scale, "float32")
    pixels = pixels + np.array(scaling.offset, "float32")
    backbone(pixels[..., ::-1] if scaling.blue_first else pixels, training=True)
    backbone.trainable = False
    return backbone
