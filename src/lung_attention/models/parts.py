"""A whole classifier, taken apart again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

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
        return np.stack([np.asarray(self.preprocessing(image[np.newaxis]))[0] for image in images])

    def features(self, shown: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The backbone's features of what it is given, `(n, rows, cols, channels)`."""
        parts = [self.backbone.predict_on_batch(shown[rows]) for rows in batches(len(shown))]
        return np.concatenate([np.asarray(part) for part in parts])


def batches(count: int) -> Iterator[slice]:
    """Rows, `BATCH` at a time."""
    for start in range(0, count, BATCH):
        yield slice(start, start + BATCH)
