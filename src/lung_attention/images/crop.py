"""The square around an image's centre."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def centre_crop(pixels: npt.NDArray[np.uint8], size_px: int | None) -> npt.NDArray[np.uint8]:
    """Keeps what a network sees of an image, as the layer `CentreCrop` does.

    Args:
        pixels: uint8 `(height, width, channels)`.
        size_px: Side of the square; None for the whole image. An image that is smaller is kept as far as it
            goes.
    """
    if size_px is None:
        return pixels
    top, left = (max((length - size_px) // 2, 0) for length in pixels.shape[:2])
    return pixels[top : top + size_px, left : left + size_px]
