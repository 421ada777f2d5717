"""An image with the attention map over it."""

from __future__ import annotations

import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image

from lung_attention.images.crop import centre_crop
from lung_attention.predict.about import Shown

SIDE_PX = 448
_STRENGTH = 0.55


def overlay(pixels: npt.NDArray[np.uint8], attention: npt.NDArray[np.float32], shown: Shown) -> Image.Image:
    """What the network sees of an image and, beside it, the same with the map over it.

    Args:
        pixels: uint8 `(height, width, 3)`.
        attention: α `(rows, cols)`.
        shown: What of the image the network sees.

    Returns:
        An RGB picture, `2 * SIDE_PX` wide and `SIDE_PX` high. The colours run from the map's least to its
        greatest value, so that two pictures can be compared by shape alone.
    """
    square = Image.fromarray(centre_crop(pixels, shown.crop_px))
    seen = square.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    spread = float(attention.max() - attention.min())
    relative = (attention - attention.min()) / (spread if spread > 0 else 1.0)
    smooth = Image.fromarray(relative.astype(np.float32)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    height = np.clip(np.asarray(smooth), 0, 1)
    coloured = matplotlib.colormaps["inferno"](height)[..., :3]
    weight = (_STRENGTH * height)[..., np.newaxis]
    mixed = (1 - weight) * np.asarray(seen) / 255 + weight * coloured
    side_by_side = np.concatenate([np.asarray(seen), (255 * mixed).astype(np.uint8)], axis=1)
    return Image.fromarray(side_by_side)
