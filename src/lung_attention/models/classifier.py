"""The whole classifier: an image of any size in, probabilities out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from lung_attention.images.view import View
from lung_attention.models.backbone_table import BACKBONES
from lung_attention.models.turns import MeanOfTurns, Turned

# Of ImageNet's photographs, pixels 0..255, over all channels.
_MEAN, _DEVIATION = 115.0, 57.0


@keras.saving.register_keras_serializable(package="lung_attention")
class CentreCrop(keras.layers.Layer):
    """Keeps the square around the centre; an image that is smaller is kept as far as it goes.

    Input shape: `(batch_size, height, width, channels)`.

    Output shape: `(batch_size, min(height, size_px), min(width, size_px), channels)`.

    Args:
        size_px: Side of the square in pixels.
    """

    def __init__(self, size_px: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if size_px < 1:
            raise ValueError(f"Expected size_px >= 1. Received: size_px={size_px}")
        self.size_px = size_px

    def call(self, images: Any) -> Any:
        """The centre of each image."""
        height, width = ops.shape(images)[1], ops.shape(images)[2]
        top = ops.maximum((height - self.size_px) // 2, 0)
        left = ops.maximum((width - self.size_px) // 2, 0)
        return images[:, top : top + self.size_px, left : left + self.size_px, :]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Unknown sides stay unknown."""
        batch, height, width, channels = input_shape
        sides = (None if side is None else min(side, self.size_px) for side in (height, width))
        return (batch, *sides, channels)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size_px": self.size_px}


@keras.saving.register_keras_serializable(package="lung_attention")
class ToFloat(keras.layers.Layer):
    """Casts pixels to floats.

    Keras resizes integers to floats in a graph, but rounds to integers where it is called eagerly, as a
    served model is; so features and predictions would differ by half a grey value.

    Input and output shape: `(batch_size, height, width, channels)`.
    """

    def call(self, images: Any) -> Any:
        """The same values as floats."""
        return ops.cast(images, self.compute_dtype)


@keras.saving.register_keras_serializable(package="lung_attention")
class Standardise(keras.layers.Layer):
    """Brings the values of each image to the mean and deviation that photographs of ImageNet have.

    Values are clipped to 0..255 afterwards, and an image of one value becomes one of the mean.

    Input and output shape: `(batch_size, height, width, channels)`.
    """

    def call(self, images: Any) -> Any:
        """The images with a common mean and deviation over pixels and channels."""
        mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
        deviation = ops.std(images, axis=(1, 2, 3), keepdims=True)
        return ops.clip((images - mean) / ops.maximum(deviation, 1.0) * _DEVIATION + _MEAN, 0.0, 255.0)


@keras.saving.register_keras_serializable(package="lung_attention")
class BlueFirst(keras.layers.Layer):
    """Reverses the channels, since some ImageNet weights were trained on blue, green, red.

    Input and output shape: `(batch_size, height, width, 3)`.
    """

    def call(self, images: Any) -> Any:
        """The images with their channels reversed."""
        return images[..., ::-1]


def shape_layers(view: View, image_size_px: int) -> list[keras.layers.Layer]:
    """The layers that make the square of an image of any size: crop and size, values 0..255 as floats.

    Args:
        view: What the network is shown of an image.
        image_size_px: Side of the square; what is shown is squeezed into it.
    """
    crop = [] if view.crop_px is None else [CentreCrop(view.crop_px, name="crop")]
    resize = keras.layers.Resizing(
        image_size_px,
        image_size_px,
        interpolation=view.interpolation,
        antialias=view.antialias,
        name="resize",
    )
    return [*crop, ToFloat(name="float"), resize]


def value_layers(backbone_name: str, view: View) -> list[keras.layers.Layer]:
    """The layers that bring the square's values 0..255 to those that a backbone takes.

    Args:
        backbone_name: A key of `BACKBONES`, which fixes the scaling.
        view: Whether values are standardised, image by image, which comes first.
    """
    scaling = BACKBONES[backbone_name].scaling
    standardise = [Standardise(name="standardise")] if view.standardise else []
    scale, offset = (
        values[0] if len(set(values)) == 1 else list(values) for values in (scaling.scale, scaling.offset)
    )
    blue_first = [BlueFirst(name="blue_first")] if scaling.blue_first else []
    return [*standardise, keras.layers.Rescaling(scale, offset, name="scale"), *blue_first]


def build_preprocessing(backbone_name: str, view: View, image_size_px: int) -> keras.Model:
    """Builds the step from pixels to the backbone's input, the same in feature extraction and prediction.

    Args:
        backbone_name: A key of `BACKBONES`, which fixes the scaling.
        view: What the network is shown of an image.
        image_size_px: Side of the square; what is shown is squeezed into it.

    Returns:
        A model from pixels 0..255 `(batch_size, height, width, 3)` to floats
        `(batch_size, image_size_px, image_size_px, 3)`.
    """
    return pixel_model(
        [*shape_layers(view, image_size_px), *value_layers(backbone_name, view)], name="preprocessing"
    )


def pixel_model(layers: Sequence[keras.layers.Layer], *, name: str) -> keras.Model:
    """Puts layers one after the other, from uint8 pixels `(batch_size, height, width, 3)` on."""
    pixels = keras.Input((None, None, 3), dtype="uint8", name="image")
    x = pixels
    for layer in layers:
        x = layer(x)
    return keras.Model(pixels, x, name=name)


def build_classifier(
    preprocessing: keras.Model, backbone: keras.Model, head: keras.Model, *, turns: int | None = None
) -> keras.Model:
    """Puts preprocessing, backbone and head together.

    Args:
        preprocessing: From pixels to the backbone's input.
        backbone: From there to features.
        head: From features to probabilities.
        turns: Over how many symmetries of the square probabilities are averaged, and then tempered, by the
            layers `turned` and `mean_of_turns`; None for neither.

    Returns:
        A model from uint8 pixels `(batch_size, height, width, 3)` to probabilities `(batch_size, classes)`,
        uncompiled, so that its file carries no optimizer state.
    """
    pixels = keras.Input((None, None, 3), dtype="uint8", name="image")
    # Resizing is for training unless it is told otherwise, and would make what follows drop values as well.
    x = preprocessing(pixels, training=False)
    # A fitted head would be saved with the state of its optimizer; this one shares its weights and has none.
    if turns is None:
        head = keras.Model(head.inputs, head.outputs, name=head.name)
        return keras.Model(pixels, head(backbone(x)), name="lung_attention")
    head = keras.Model(head.input, head.output, name=head.name)
    of_turns = head(backbone(Turned(turns, name="turned")(x)))
    return keras.Model(pixels, MeanOfTurns(turns, name="mean_of_turns")(of_turns), name="lung_attention")
