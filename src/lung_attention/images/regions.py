"""Frame and background of thumbnails, and histograms of all or some of their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from lung_attention.images.similarity import grey

# Results depend on these, so they are fixed: the darkest and the brightest quarter of the values. Air is 38
# to 58 in IQ-OTH/NCCD, whose window begins below it; glass beside tissue is above 200.
DARK = 63
BRIGHT = 192

_VALUES = 256


def frame(shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The outermost pixels of an image of `(rows, cols)`, as a mask of this shape."""
    mask = np.ones(shape, dtype=bool)
    mask[1:-1, 1:-1] = False
    return mask


def backgrounds(thumbnails: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """What lies outside the body or the tissue, by thresholds alone.

    An image has a background where most of its frame is dark (the air around a body, luma up to `DARK`) or
    most of it is bright (the glass around tissue, from `BRIGHT`): the pixels of that kind which are connected
    with the frame, over edges of pixels. Lungs are dark as well, but closed in by the body. Where an image is
    cut from inside the body, most frames are neither and there is no background; a crop that lies in lung on
    all sides is taken to have one, its lung.

    Args:
        thumbnails: `(n, rows, cols, 3)`, uint8, RGB.

    Returns:
        `(n, rows, cols)`, bool; all False for an image without background.
    """
    edge = frame((thumbnails.shape[1], thumbnails.shape[2]))
    masks = np.zeros(thumbnails.shape[:3], dtype=bool)
    for row in range(len(thumbnails)):
        luma = grey(thumbnails[row : row + 1])[0]
        for alike in (luma <= DARK, luma >= BRIGHT):
            if 2 * alike[edge].sum() > edge.sum():
                parts, _ = label(alike)
                touching = np.unique(parts[edge & alike])
                masks[row] = np.isin(parts, touching)
    return masks


def value_counts(thumbnails: NDArray[np.uint8], masks: NDArray[np.bool_] | None = None) -> NDArray[np.uint16]:
    """How many pixels have each value, in each channel.

    Args:
        thumbnails: `(n, rows, cols, 3)`, uint8, RGB, fewer than 65,536 pixels an image.
        masks: `(rows, cols)` or `(n, rows, cols)`, bool, the pixels counted; None for all.

    Returns:
        `(n, 3, 256)`, uint16; `(n, 1, 256)` where all images are grey.
    """
    n, rows, cols, _ = thumbnails.shape
    channels = 1 if all((one == one[..., :1]).all() for one in thumbnails) else 3
    counted = np.broadcast_to(np.True_ if masks is None else masks, (n, rows, cols))
    counts = np.empty((n, channels, _VALUES), dtype=np.uint16)
    offsets = np.arange(channels) * _VALUES
    for row in range(n):
        values = thumbnails[row][counted[row]][:, :channels].astype(np.intp) + offsets
        counts[row] = np.bincount(values.ravel(), minlength=channels * _VALUES).reshape(channels, _VALUES)
    return counts


def histograms(counts: NDArray[np.uint16], *, bins: int) -> NDArray[np.float32]:
    """Shares of the counted pixels in equal bins of 0 to 255.

    Args:
        counts: `(n, channels, 256)`, see `value_counts`.
        bins: Bins of a channel, 1 to 256.

    Returns:
        `(n, channels * bins)`, float32, each channel's bins summing to 1; all 0 where no pixel was counted.
    """
    starts = np.searchsorted(np.arange(_VALUES) * bins // _VALUES, np.arange(bins))
    binned = np.add.reduceat(counts, starts, axis=2, dtype=np.int64)
    pixels = np.maximum(binned.sum(axis=2, keepdims=True), 1)
    shares: NDArray[np.float32] = (binned / pixels).reshape(len(counts), -1).astype(np.float32)
    return shares
