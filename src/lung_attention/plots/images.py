"""Sample images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from lung_attention.plots.style import words

_GAP_PX = 2


def image_grid(ax: Axes, images: Mapping[str, Sequence[NDArray[np.uint8]]]) -> Axes:
    """Draws a row of images for each class.

    Args:
        ax: Where to draw.
        images: For each class uint8 arrays `(size, size, 3)`, RGB, all of one size. Rows may differ in
            length; what is missing stays white.

    Returns:
        `ax`.

    Raises:
        ValueError: There is no image, or they differ in size.
    """
    shapes = {image.shape for row in images.values() for image in row}
    if len(shapes) != 1:
        raise ValueError(f"Expected images of one shape. Received: {sorted(shapes)}")
    height, width, _ = shapes.pop()
    columns = max(len(row) for row in images.values())
    rows, across = len(images), width + _GAP_PX
    down = height + _GAP_PX
    canvas = np.full((rows * down - _GAP_PX, columns * across - _GAP_PX, 3), 255, dtype=np.uint8)
    for i, row in enumerate(images.values()):
        for j, image in enumerate(row):
            canvas[i * down : i * down + height, j * across : j * across + width] = image
    ax.imshow(canvas, interpolation="antialiased")
    ax.set_yticks([i * down + height / 2 for i in range(rows)], [words(name) for name in images])
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax
