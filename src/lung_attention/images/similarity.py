"""How alike two thumbnails are, and the pairs that are too alike to stand on two sides of a split."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_ROWS = 512
"""Rows of one matrix product: 512 × 15,000 cosines take 31 MB."""

_ROUNDING = 1e-6
"""Cosines of float32 vectors are off by about 1e-7, so equal images would miss a threshold of 1."""

_DECIMALS = 5
"""Cosines that agree to here count as equal, so that ties fall to the first row on any machine."""


def grey(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luma of RGB thumbnails (ITU-R 601, as in Pillow's mode "L", not rounded).

    Args:
        thumbnails: `(n, rows, cols, 3)`, uint8, RGB.

    Returns:
        `(n, rows, cols)`, float32, in [0, 255]. Grey images keep their values.
    """
    weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
    luma: NDArray[np.float32] = np.empty(thumbnails.shape[:3], dtype=np.float32)
    for start in range(0, len(thumbnails), _ROWS):
        part = slice(start, start + _ROWS)
        luma[part] = thumbnails[part].astype(np.float32) @ weights
    return luma


def unit_vectors(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Grey thumbnails as mean-centred vectors of length 1, so that a dot product is a cosine.

    Args:
        thumbnails: `(n, rows, cols, 3)`, uint8, RGB.

    Returns:
        `(n, rows * cols)`, float32. A blank image has no direction: its vector is zero, and its cosine
        with everything, itself included, is 0.
    """
    vectors = grey(thumbnails).reshape(len(thumbnails), -1)
    vectors -= vectors.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    # Rounding leaves a blank image a length of some 1e-3 instead of 0; the least contrast an 8-bit image
    # can have, one pixel that differs by 1, gives about 1.
    blank = lengths[:, 0] < 1e-2
    vectors[blank] = 0
    vectors /= np.where(lengths < 1e-2, 1, lengths)
    return vectors


def near_pairs(
    vectors: NDArray[np.float32], *, cosine: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Finds all pairs of vectors with at least a given cosine, each pair once.

    Args:
        vectors: `(n, d)`, float32, rows of length 1 or 0.
        cosine: The least cosine, above 0.

    Yields:
        Row numbers `(first, second)`, each `(pairs,)`, first < second, one block of rows after another.
        Memory grows with n, not with n².
    """
    for start in range(0, len(vectors), _ROWS):
        cosines = vectors[start : start + _ROWS] @ vectors[start:].T
        first, second = np.nonzero(cosines >= cosine - _ROUNDING)
        upper = first < second
        yield first[upper] + start, second[upper] + start


def nearest(queries: NDArray[np.float32], candidates: NDArray[np.float32]) -> NDArray[np.intp]:
    """Finds for each query the candidate with the largest cosine.

    Args:
        queries: `(m, d)`, float32, rows of length 1 or 0.
        candidates: `(n, d)`, float32, rows of length 1 or 0; n > 0.

    Returns:
        `(m,)`, row numbers of candidates. Of equally near ones (to five decimals) the first.
    """
    found = np.empty(len(queries), dtype=np.intp)
    for start in range(0, len(queries), _ROWS):
        part = slice(start, start + _ROWS)
        cosines = queries[part] @ candidates.T
        np.round(cosines, _DECIMALS, out=cosines)
        found[part] = cosines.argmax(axis=1)
    return found
