"""Generated pictures that belong to no dataset."""

from __future__ import annotations

import numpy as np
from PIL import Image

from lung_attention.data.sample.shapes import Pixels, between, window
from lung_attention.data.sample.thorax import Thorax, make_nodule
from lung_attention.data.sample.tissue import TISSUES, Tissue

_CALIBRATION_PX = 96


def calibration_images(n: int, size_px: int, *, seed: int) -> Pixels:
    """Generated pictures on which the batch norm of random backbones is calibrated.

    Thorax slices and tissue in turn, drawn from a stream of random numbers of their own, so that they
    share no patient and no tile with any sample.

    Args:
        n: How many.
        size_px: Side of the square pictures.
        seed: Seed of the drawing.

    Returns:
        RGB, uint8, shape (n, size_px, size_px, 3).
    """
    pictures = np.empty((n, size_px, size_px, 3), np.uint8)
    for index in range(n):
        rng = np.random.default_rng([seed, 0xCA1, index])
        if index % 2:
            drawn = Tissue(rng, TISSUES[index // 2 % len(TISSUES)], _CALIBRATION_PX).draw()
        else:
            thorax = Thorax(rng, disease=between(rng, 0, 1))
            nodule = make_nodule(rng, *thorax.spot(rng, depth=0.8), malignant=index % 4 == 0, scale=1.0)
            y, x = window(_CALIBRATION_PX, _CALIBRATION_PX, half=between(rng, 0.4, 1.0))
            grey = thorax.draw(rng, y, x, height=between(rng, -0.8, 0.8), nodules=(nodule,))
            drawn = np.repeat(grey[..., None], 3, axis=2)
        image = Image.fromarray(drawn).resize((size_px, size_px), Image.Resampling.BILINEAR)
        pictures[index] = np.asarray(image)
    return pictures
