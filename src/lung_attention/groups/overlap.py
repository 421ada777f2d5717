"""Overlapping originals: pictures of neighbouring fields of one slide that share a part of the tissue.

Some of LC25000's originals were taken twice, the slide moved a little, at times with another white balance.
Their copies show the same cells, so they belong on one side of a split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter

from lung_attention.groups.discs import luma, sampler
from lung_attention.groups.linking import Pairs
from lung_attention.writing import scratch

_SIDE_PX = 48
_PADDED_PX = 96
"""Twice the side, so that no shift wraps around."""

_FINE_PX = 2.0
"""Structures coarser than this are removed: a bright cavity fits any other, nuclei fit only themselves."""

_MIN_CONTRAST = 4.0
"""Grey levels to which weaker texture is not raised."""

_CHUNK = 256


def overlapping_pairs(
    thumbnails: NDArray[np.uint8],
    poses: list[NDArray[np.float64]],
    *,
    correlation: float,
    least_overlap: float,
) -> Pairs:
    """Finds pairs of pictures of which a part is the same, up to a mirror image.

    All pairs are compared, so time grows with the square of their number: about a minute of one core for
    750 pictures.

    Args:
        thumbnails: `(n, side, side, 3)`, uint8, RGB, a picture each of n originals.
        poses: `(2, 2)` matrices from picture to original, which the comparison undoes.
        correlation: Least correlation of the fine structure in the common part, in (0, 1].
        least_overlap: Least common part, of a picture's area, in (0, 1].

    Returns:
        Row numbers `(first, second)`, each `(pairs,)`.
    """
    fine = _fine_structure(thumbnails, poses)
    padded = (_PADDED_PX, _PADDED_PX)
    spectra = scratch((len(fine), _PADDED_PX, _PADDED_PX // 2 + 1), np.complex64)
    for start in range(0, len(fine), _CHUNK):
        spectra[start : start + _CHUNK] = rfft2(fine[start : start + _CHUNK], padded)
    common = np.abs(np.fft.fftfreq(_PADDED_PX, 1 / _PADDED_PX))
    common = np.outer(_SIDE_PX - common, _SIDE_PX - common)  # pixels two pictures share at each shift
    enough = common >= least_overlap * _SIDE_PX**2
    weights = np.where(enough, 1 / np.maximum(common, 1), 0).astype(np.float32)
    first, second = [np.empty(0, dtype=np.intp)], [np.empty(0, dtype=np.intp)]
    for own in range(len(fine)):
        mirrored = np.stack([fine[own], fine[own, ::-1], fine[own, :, ::-1], fine[own, ::-1, ::-1]])
        queries = np.conj(rfft2(mirrored, padded)).astype(np.complex64)
        for start in range(own + 1, len(fine), _CHUNK):
            others = spectra[start : start + _CHUNK]
            best = np.max(
                [(irfft2(others * query, padded) * weights).max(axis=(1, 2)) for query in queries], 0
            )
            alike = np.flatnonzero(best >= correlation) + start
            first.append(np.full(len(alike), own))
            second.append(alike)
    return np.concatenate(first), np.concatenate(second)


def _fine_structure(thumbnails: NDArray[np.uint8], poses: list[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Straightens pictures and leaves only their fine structure, its contrast evened out.

    Args:
        thumbnails: `(n, side, side, 3)`, uint8, RGB.
        poses: `(2, 2)` matrices from picture to original.

    Returns:
        `(n, 48, 48)`, float32, local mean 0 and local standard deviation about 1; 0 where the picture does
        not show the original.
    """
    side = thumbnails.shape[1]
    axis = (np.arange(_SIDE_PX) - (_SIDE_PX - 1) / 2) / _SIDE_PX
    points = np.stack(np.meshgrid(axis, axis, indexing="ij")).reshape(2, -1)
    found = np.empty((len(thumbnails), _SIDE_PX, _SIDE_PX), dtype=np.float32)
    for row, pose in enumerate(poses):
        pixels = luma(thumbnails[row : row + 1]).reshape(-1)
        values = (sampler(side, points, pose, (0.0, 0.0)) @ pixels).reshape(_SIDE_PX, _SIDE_PX)
        shown = (np.abs(np.linalg.inv(pose) @ points).max(axis=0) <= 0.5).reshape(values.shape)
        weight = gaussian_filter(shown.astype(np.float64), _FINE_PX) + 1e-3
        detail = (values - gaussian_filter(values * shown, _FINE_PX) / weight) * shown
        wide = gaussian_filter(shown.astype(np.float64), 2 * _FINE_PX) + 1e-3
        contrast = np.sqrt(gaussian_filter(detail**2, 2 * _FINE_PX) / wide)
        found[row] = detail / np.maximum(contrast, _MIN_CONTRAST)
    return found
