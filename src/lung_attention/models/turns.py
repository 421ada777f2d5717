"""The symmetries of the square: an image turned and mirrored, and what a classifier says of all of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

# Whether rows and columns are swapped, rows reversed, columns reversed: the quarter turns, then their mirror
# images.
_SYMMETRIES = (
    (False, False, False),
    (True, True, False),
    (False, True, True),
    (True, False, True),
    (False, False, True),
    (True, False, False),
    (False, True, False),
    (True, True, True),
)
_SMALLEST_PROBABILITY = 1e-7


def turned(images: Any, number: int, *, swapaxes: Callable[[Any, int, int], Any] = ops.swapaxes) -> Any:
    """Turns square images by one of the eight symmetries of the square.

    Args:
        images: `(…, side, side, channels)`, an array or a tensor.
        number: 0 changes nothing, 1 to 3 are quarter turns, 4 to 7 their mirror images.
        swapaxes: That of the kind of array.

    Returns:
        Of the same shape.
    """
    swapped, up, left = _SYMMETRIES[number]
    if swapped:
        images = swapaxes(images, -3, -2)
    if up:
        images = images[..., ::-1, :, :]
    return images[..., ::-1, :] if left else images


@keras.saving.register_keras_serializable(package="lung_attention")
class Turned(keras.layers.Layer):
    """Puts turned copies of a batch of images behind each other, so that one pass sees them all.

    Input shape: `(batch_size, side, side, channels)`.

    Output shape: `(turns * batch_size, side, side, channels)`, all images in one position, then in the next.

    Args:
        turns: How many symmetries of the square, 1 to 8.
    """

    def __init__(self, turns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 1 <= turns <= len(_SYMMETRIES):
            raise ValueError(f"Expected turns in 1..{len(_SYMMETRIES)}. Received: turns={turns}")
        self.turns = turns

    def call(self, images: Any) -> Any:
        """All images, turned."""
        return ops.concatenate([turned(images, number) for number in range(self.turns)], axis=0)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """More images of the same shape."""
        batch, *rest = input_shape
        return (None if batch is None else batch * self.turns, *rest)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "turns": self.turns}


@keras.saving.register_keras_serializable(package="lung_attention")
class MeanOfTurns(keras.layers.Layer):
    """Averages probabilities over the turns of each image and divides their logarithms by a temperature.

    For the mean p of an image the output is softmax(log p / T), Guo et al. (ICML 2017); T, the weight
    `temperature`, is 1 at first and is no part of any fit by gradients.

    Input shape: `(turns * batch_size, classes)`, as `Turned` orders images.

    Output shape: `(batch_size, classes)`.

    Args:
        turns: How many symmetries of the square.
    """

    def __init__(self, turns: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.turns = turns

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the scalar `temperature`."""
        self.temperature = self.add_weight(name="temperature", shape=(), initializer="ones", trainable=False)
        self.built = True

    def call(self, probabilities: Any) -> Any:
        """Tempered mean probabilities."""
        classes = probabilities.shape[-1]
        mean = ops.mean(ops.reshape(probabilities, (self.turns, -1, classes)), axis=0)
        return ops.softmax(ops.log(ops.maximum(mean, _SMALLEST_PROBABILITY)) / self.temperature, axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Fewer rows of the same classes."""
        batch, classes = input_shape
        return (None if batch is None else batch // self.turns, classes)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "turns": self.turns}
