"""Sample images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GAP_PX = 4
_GREY = 128  # to be told from both a light and a dark page


def image_strip(images: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Images side by side.

    Args:
        images: uint8 `(size, size, 3)` arrays, RGB, all of one size; at least one.

    Returns:
        uint8 `(size, width, 3)`, with grey gaps.

    Raises:
        ValueError: There is no image, or they differ in size.
    """
    shapes = {image.shape for image in images}
    if len(shapes) != 1:
        raise ValueError(f"Expected images of one shape. Received: {sorted(shapes)}")
    height, _, channels = shapes.pop()
    gap = np.full((height, _GAP_PX, channels), _GREY, dtype=np.uint8)
    return np.concatenate([part for image in images for part in (gap, image)][1:], axis=1)
