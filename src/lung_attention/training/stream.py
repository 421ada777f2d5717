"""Images for the fit of a backbone: decoded once into a memory-mapped array, changed anew in each epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lung_attention.images.decode import decode, read_members
from lung_attention.images.view import View
from lung_attention.models.classifier import pixel_model, shape_layers, value_layers
from lung_attention.models.parts import shown_of
from lung_attention.models.turns import turned
from lung_attention.training.finetuning import Augmentation
from lung_attention.training.fits import Source
from lung_attention.writing import replacing, reserve

Pixels = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]

# Batches made while one is fitted on.
_PREFETCHED = 2
_WHITE = 255.0


class Surroundings:
    """Shows an image as its view says, with a margin around it, so that it can be shifted.

    The margin is what lies around the crop or, where there is nothing, the image mirrored at its edge.

    Args:
        view: Its crop and filter; values stay as they are.
        image_size_px: Side of the square without margin.
        margin_px: Width of the margin on each side, in pixels of that square.
    """

    def __init__(self, view: View, image_size_px: int, margin_px: int) -> None:
        self._margin_px = margin_px
        self._shown = pixel_model(shape_layers(view, image_size_px), name="shown")
        self._wide_px: int | None = None
        if margin_px and view.crop_px is not None:
            side = image_size_px + 2 * margin_px
            self._wide_px = round(view.crop_px * side / image_size_px)
            wider = replace(view, crop_px=self._wide_px)
            self._wider = pixel_model(shape_layers(wider, side), name="wider")

    def __call__(self, pixels: Pixels) -> Pixels:
        """From uint8 `(height, width, 3)` to uint8 `(side, side, 3)`, margins included."""
        height, width, _ = pixels.shape
        if self._wide_px is not None and min(height, width) >= self._wide_px:
            return _to_pixels(self._wider.predict_on_batch(pixels[None])[0])
        pad = (self._margin_px, self._margin_px)
        shown = _to_pixels(self._shown.predict_on_batch(pixels[None])[0])
        return np.pad(shown, (pad, pad, (0, 0)), mode="symmetric")


def keep_pixels(
    source: Source, images: Sequence[str], *, margin_px: int, path: Path
) -> Pixels:  # fmt: skip
    """Decodes all images once; memory stays flat.

    Args:
        source: The archive and the view.
        images: Their names.
        margin_px: See `Surroundings`.
        path: Where the array is written; one that is there already is taken as it is.

    Returns:
        uint8 `(n, side, side, 3)`, memory-mapped.
    """
    if not path.exists():
        surroundings = Surroundings(source.view, source.image_size_px, margin_px)
        side = source.image_size_px + 2 * margin_px
        shape = (len(images), side, side, 3)
        with replacing(path) as temporary:
            array = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            reserve(temporary)
            for row, content in enumerate(read_members(source.archive, images)):
                array[row] = surroundings(decode(content))
            array.flush()
            del array
    pixels: Pixels = np.load(path, mmap_mode="r")
    return pixels


def margin_of(augmentation: Augmentation, image_size_px: int) -> int:
    """The margin in pixels that shifts need."""
    return round(augmentation.shift * image_size_px)


class Stream:
    """Batches of changed images for one epoch after the other.

    What happens to an image hangs on seed, epoch and image alone, neither on batches nor on devices.

    Args:
        pixels: uint8 `(n, side, side, 3)` with margins, from `keep_pixels`.
        labels: Class numbers `(n,)`.
        weights: `(n,)`, of each image in the loss.
        source: The view and the backbone, whose values images are brought to.
        augmentation: How images are changed.
        batch_size: Images of a step.
        images_per_epoch: How many are drawn for an epoch; None for all.
    """

    def __init__(
        self,
        pixels: Pixels,
        labels: Rows,
        weights: npt.NDArray[np.float64],
        source: Source,
        augmentation: Augmentation,
        *,
        batch_size: int,
        images_per_epoch: int | None,
    ) -> None:
        self._pixels = pixels
        self._labels = labels
        self._weights = weights
        self._size_px = source.image_size_px
        self._augmentation = augmentation
        self._batch_size = batch_size
        self._limit = images_per_epoch
        layers = value_layers(source.backbone, source.view)
        # Standardised values would not show that an image was made brighter before.
        number = next(number for number, layer in enumerate(layers) if layer.name == "scale")
        self._before, self._after = layers[:number], layers[number:]

    def steps(self, rows: Rows) -> int:
        """Batches of an epoch on some rows."""
        return -(-min(len(rows), self._limit or len(rows)) // self._batch_size)

    def epoch(self, rows: Rows, *, seed: int, epoch: int) -> tf.data.Dataset:
        """The batches of an epoch: the backbone's input, class numbers, weights.

        Args:
            rows: The rows fitted on.
            seed: Of the fit.
            epoch: Its number, from 1.
        """
        order = np.random.default_rng([seed, epoch]).permutation(rows)[: self._limit]

        def batches() -> Iterator[tuple[Any, ...]]:
            for start in range(0, len(order), self._batch_size):
                chosen = order[start : start + self._batch_size]
                changed = [self.changed(int(row), seed=seed, epoch=epoch) for row in chosen]
                shown, values = zip(*changed, strict=True)
                yield np.stack(shown), np.stack(values), self._labels[chosen], self._weights[chosen]

        signature = (
            tf.TensorSpec((None, self._size_px, self._size_px, 3), tf.uint8),
            tf.TensorSpec((None, 2), tf.float32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((None,), tf.float32),
        )
        options = tf.data.Options()
        options.autotune.enabled = False  # as for the features: nothing here needs tuning
        options.threading.private_threadpool_size = 1
        # There is one worker, whose devices share each batch.
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        read = tf.data.Dataset.from_generator(batches, output_signature=signature)
        counted = read.apply(tf.data.experimental.assert_cardinality(self.steps(rows)))
        return counted.map(self._inputs).prefetch(_PREFETCHED).with_options(options)

    def changed(self, row: int, *, seed: int, epoch: int) -> tuple[Pixels, npt.NDArray[np.float32]]:
        """An image shifted and turned, and by how much its brightness and contrast will change.

        Returns:
            uint8 `(size, size, 3)`, and what is added to its values 0..255 and the factor of its contrast.
        """
        # A sequence that ended in 0 would give the same numbers as one without it.
        random = np.random.default_rng([seed, epoch, row + 1])
        settings, image = self._augmentation, self._pixels[row]
        top, left = random.integers(0, image.shape[0] - self._size_px, size=2, endpoint=True)
        number = int(random.integers(settings.turns))
        brightness, contrast = random.uniform(-1, 1, size=2) * (settings.brightness, settings.contrast)
        shifted = image[top : top + self._size_px, left : left + self._size_px]
        return (
            turned(shifted, number, swapaxes=np.swapaxes),
            np.array([brightness * _WHITE, 1 + contrast], dtype=np.float32),
        )

    def _inputs(self, shown: Any, values: Any, labels: Any, weights: Any) -> tuple[Any, Any, Any]:
        x = tf.cast(shown, tf.float32)
        for layer in self._before:
            x = layer(x)
        added, factor = values[:, 0, None, None, None], values[:, 1, None, None, None]
        mean = tf.reduce_mean(x, axis=(1, 2, 3), keepdims=True)
        x = tf.clip_by_value((x - mean) * factor + mean + added, 0.0, _WHITE)
        for layer in self._after:
            x = layer(x)
        return x, labels, weights


def shown_to_network(
    source: Source, images: Sequence[str], preprocessing: keras.Model
) -> Iterator[npt.NDArray[np.float32]]:
    """Yields images as the kept model's own preprocessing shows them: float32 `(size, size, 3)`."""
    for content in read_members(source.archive, images):
        yield shown_of(decode(content), preprocessing)


def _to_pixels(values: npt.NDArray[np.float32]) -> Pixels:
    return np.rint(np.clip(values, 0, _WHITE)).astype(np.uint8)
