"""How alike two thumbnails are, and the pairs that are too alike to stand on two sides of a split."""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from threadpoolctl import ThreadpoolController

from lung_attention.writing import scratch

_ROWS = 128
"""Rows that are in memory at a time: 128 thumbnails as float32, RGB, take 6 MB."""

_BLOCK = 512
_COLUMNS = 2048
"""Rows of one matrix product, and its columns where rows are short: 512 × 2048 bounds take 4 MB."""

_WAVES = 16
"""Waves along each side in which images are compared first: 256 numbers in place of 4096. On the real
archives they hold 89 % of the energy of CT slices and 63 % of that of tissue, and leave 0.03 to 0.5 % of the
pairs of CT slices, 0.001 % of those of tiles, that could have a cosine of 0.98."""

_SLACK = 1e-4
"""Above what rounding can take from a bound. More pairs are compared for it, none is lost."""

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
        `(n, rows * cols)`, float32, in a file (`scratch`). A blank image has no direction: its vector is
        zero, and its cosine with everything, itself included, is 0.
    """
    found = scratch((len(thumbnails), int(np.prod(thumbnails.shape[1:3]))), np.float32)
    for start in range(0, len(thumbnails), _ROWS):
        part = slice(start, start + _ROWS)
        vectors = grey(thumbnails[part]).reshape(len(found[part]), -1)
        vectors -= vectors.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        # Rounding leaves a blank image a length of some 1e-3 instead of 0; the least contrast an 8-bit image
        # can have, one pixel that differs by 1, gives about 1.
        blank = lengths[:, 0] < 1e-2
        vectors[blank] = 0
        found[part] = vectors / np.where(lengths < 1e-2, 1, lengths)
    return found


def near_pairs(
    vectors: NDArray[np.float32], *, cosine: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Finds all pairs of vectors with at least a given cosine, each pair once.

    Args:
        vectors: `(n, d)`, float32, rows of length 1 or 0.
        cosine: The least cosine, above 0.

    Yields:
        Row numbers `(first, second)`, each `(pairs,)`, first < second, one block of rows after another.

    A few waves of two images bound their cosine from above, so most pairs need no more than these. Time still
    grows with n², by a sixteenth of what whole vectors take where few images are alike; memory by 1 kB a row.
    """
    least = cosine - _ROUNDING
    # Small products one after another: threads would spend their time waiting for each other.
    threads = ThreadpoolController()
    with threads.limit(limits=1, user_api="blas"):
        short = _shortened(vectors)
    for start in range(0, len(vectors), _BLOCK):
        with threads.limit(limits=1, user_api="blas"):
            found = list(_pairs_of_block(vectors, short, start, least))
        yield from found


def _pairs_of_block(
    vectors: NDArray[np.float32], short: NDArray[np.float32], start: int, least: float
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """The pairs of which the first is one of the rows of a block."""
    own = slice(start, start + _BLOCK)
    for left in range(start, len(vectors), _COLUMNS):
        bounds = short[own] @ short[left : left + _COLUMNS].T >= least - _SLACK
        if left < start + _BLOCK:
            bounds = np.triu(bounds, k=1 + start - left)
        possible = left + np.flatnonzero(bounds.any(axis=0))
        for others in np.split(possible, range(_BLOCK, len(possible), _BLOCK)):
            first, second = np.nonzero(vectors[own] @ vectors[others].T >= least)
            first, second = first + start, others[second]
            upper = first < second
            yield first[upper], second[upper]


def _shortened(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Short vectors whose dot products are nowhere less than those of the long ones.

    Each is the projection on a few orthonormal patterns, cosine waves over a square, and the length of what
    they leave of the vector: by the inequality of Cauchy and Schwarz, two such rests have no larger product.

    Args:
        vectors: `(n, d)`, float32; a square image each, if the patterns are to hold much of them.

    Returns:
        `(n, k)`, float32.
    """
    side = isqrt(vectors.shape[1])
    waves = dct(np.eye(side), axis=0, norm="ortho")[:_WAVES]
    patterns = np.zeros((vectors.shape[1], len(waves) ** 2), dtype=np.float32)
    patterns[: side**2] = np.einsum("ar,bc->rcab", waves, waves).reshape(side**2, -1)
    found = np.empty((len(vectors), patterns.shape[1] + 1), dtype=np.float32)
    for start in range(0, len(vectors), _ROWS):
        part = slice(start, start + _ROWS)
        found[part, :-1] = vectors[part] @ patterns
        rest = np.sum(vectors[part] ** 2, axis=1) - np.sum(found[part, :-1] ** 2, axis=1)
        found[part, -1] = np.sqrt(np.maximum(rest, 0) + _ROUNDING)
    return found


def cosines(
    vectors: NDArray[np.float32], first: NDArray[np.intp], second: NDArray[np.intp]
) -> NDArray[np.float32]:
    """Cosines of pairs of vectors.

    Args:
        vectors: `(n, d)`, float32, rows of length 1 or 0.
        first: `(pairs,)`, row numbers.
        second: `(pairs,)`, row numbers.

    Returns:
        `(pairs,)`, float32.
    """
    found = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), _ROWS):
        part = slice(start, start + _ROWS)
        found[part] = np.einsum("ij,ij->i", vectors[first[part]], vectors[second[part]])
    return found


def nearest(queries: NDArray[np.float32], candidates: NDArray[np.float32]) -> NDArray[np.intp]:
    """Finds for each query the candidate with the largest cosine.

    Args:
        queries: `(m, d)`, float32, rows of length 1 or 0.
        candidates: `(n, d)`, float32, rows of length 1 or 0; n > 0.

    Returns:
        `(m,)`, row numbers of candidates. Of equally near ones (to five decimals) the first.
    """
    found = np.empty(len(queries), dtype=np.intp)
    for start in range(0, len(queries), _BLOCK):
        part = slice(start, start + _BLOCK)
        cosines = queries[part] @ candidates.T
        np.round(cosines, _DECIMALS, out=cosines)
        found[part] = cosines.argmax(axis=1)
    return found
