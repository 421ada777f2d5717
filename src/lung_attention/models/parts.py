"""A whole classifier, taken apart again, and images passed through its parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import keras
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

BATCH = 32


class Parts:
    """What `build_classifier` put together.

    Args:
        model: A classifier of this project.

    Attributes:
        preprocessing: From pixels to the backbone's input.
        backbone: From there to features.
        head: From features to probabilities.
    """

    def __init__(self, model: keras.Model) -> None:
        layers = {layer.name: layer for layer in model.layers}
        self.preprocessing, self.head = layers["preprocessing"], layers["head"]
        (self.backbone,) = (
            layer
            for name, layer in layers.items()
            if isinstance(layer, keras.Model) and name not in ("preprocessing", "head")
        )

    def shown(self, images: Iterable[Pixels]) -> npt.NDArray[np.float32]:
        """What the backbone is given of images of any size, `(n, side, side, 3)`."""
        return np.stack([shown_of(image, self.preprocessing) for image in images])

    def features(self, shown: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The backbone's features of what it is given, `(n, rows, cols, channels)`."""
        parts = [self.backbone.predict_on_batch(shown[rows]) for rows in batches(len(shown))]
        return np.concatenate([np.asarray(part) for part in parts])


def shown_of(image: Pixels, preprocessing: keras.Model) -> npt.NDArray[np.float32]:
    """What a backbone is given of one image of any size, `(side, side, 3)`."""
    shown: npt.NDArray[np.float32] = np.asarray(preprocessing.predict_on_batch(image[np.newaxis]))[0]
    return shown


def passed(
    images: Iterable[Pixels], *, preprocessing: keras.Model, backbone: keras.Model, batch_size: int = BATCH
) -> Iterator[npt.NDArray[np.float32]]:
    """Passes images of any size through a backbone; the next batch is read while one is passed.

    Args:
        images: uint8 `(height, width, 3)` each; read in a thread of its own.
        preprocessing: From pixels to the backbone's input.
        backbone: From its input to features.
        batch_size: Images a pass.

    Yields:
        Features `(batch_size, rows, cols, channels)`; the last batch may be smaller.
    """
    remaining = iter(images)

    def read() -> list[npt.NDArray[np.float32]]:
        return [shown_of(image, preprocessing) for image in islice(remaining, batch_size)]

    with ThreadPoolExecutor(max_workers=1) as reader:
        batch = reader.submit(read).result()
        while batch:
            following = reader.submit(read)
            yield np.asarray(backbone.predict_on_batch(np.stack(batch)))
            batch = following.result()


def batches(count: int) -> Iterator[slice]:
    """Rows, `BATCH` at a time."""
    for start in range(0, count, BATCH):
        yield slice(start, start + BATCH)
