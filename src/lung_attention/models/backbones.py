"""ImageNet backbones of `keras.applications`, frozen and without their top."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from lung_attention.errors import UserError
from lung_attention.models.backbone_table import BACKBONES

_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D)


def build_backbone(
    name: str, image_size_px: int, *, weights: Path | None = None, policy: str | None = None
) -> keras.Model:
    """Builds a frozen backbone.

    Args:
        name: A key of `BACKBONES`.
        image_size_px: Side of the square input.
        weights: A weight file of this architecture without top; `None` leaves random weights.
        policy: What is computed in, a Keras policy such as `mixed_float16`; None for that in use.

    Returns:
        A model from scaled pixels `(batch_size, image_size_px, image_size_px, 3)` to features
        `(batch_size, rows, cols, channels)`; a stride of 32 px gives 7 x 7 at 224 px and 4 x 4 at 128 px.

    Raises:
        UserError: The weight file does not fit the architecture.
    """
    build = getattr(keras.applications, BACKBONES[name].application)
    in_use = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy or in_use)
    try:
        backbone = build(
            include_top=False, weights=None, input_shape=(image_size_px, image_size_px, 3), name=name
        )
    finally:
        keras.config.set_dtype_policy(in_use)
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


def thaw(backbone: keras.Model, share: float) -> None:
    """Lets the last layers of a backbone be fitted.

    These are the last `share` of its convolution layers, depthwise ones counted, in the order in which Keras
    lists them, one at least, and what other weights lie behind the first of them. Batch normalisations stay
    frozen, so that they keep the statistics of the images that the backbone was trained on: those of a small
    batch are far too uncertain.

    Args:
        backbone: From `build_backbone`; changed.
        share: In (0, 1].
    """
    numbers = [
        number for number, layer in enumerate(backbone.layers) if isinstance(layer, _CONVOLUTIONS)
    ]  # fmt: skip
    first = numbers[-max(1, round(share * len(numbers)))]
    backbone.trainable = True
    for number, layer in enumerate(backbone.layers):
        layer.trainable = number >= first and not isinstance(layer, keras.layers.BatchNormalization)


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
