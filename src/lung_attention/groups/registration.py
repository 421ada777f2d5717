"""Registration of tissue tiles: are two tiles pictures of the same spot, one of them turned or mirrored?

Two tiles of one original agree in the disc around the original's centre (correlation near 1) in some pair of
poses (see `discs`), up to a mirror image; tiles of different originals do not. Two families of poses are
tried, by `cropped_scores` and `shifted_scores`. The first is that of LC25000. Measured on its tiles, a copy
is its original turned by a whole number of degrees up to 25, cropped to hide the empty corners, stretched
back to the full square, and mirrored. The crop is the one that the Augmentor library computed: wide and high
by different factors, so that no rotation alone undoes it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lung_attention.groups.discs import Floats, cropped_rotation, disc_of, looks, rotation
from lung_attention.groups.linking import Integers
from lung_attention.writing import scratch

MAX_ROTATION_DEG = 25
"""The strongest rotation of LC25000's augmentation."""

_CROPPED_RADIUS = 0.19
"""Of the disc, of the original's side. The crop at 25° keeps 0.199 above and below the centre."""

_SHIFTED_RADIUS = 0.3
"""The same where nothing is cropped. A larger disc is harder to match by chance."""

_SHIFT_STEPS = 7
_SHIFT_STEP = 1 / 64
"""Shifts tried to each side, and their spacing, of the tile's side: up to 11 %."""

_TURN_STEP_DEG = 2

_COARSE_PATTERNS = 64
"""Patterns used in the coarse search; the strongest come first."""

_ROWS = 512

_COARSE_LEAST_CROPPED = 0.65
_COARSE_LEAST_SHIFTED = 0.5
"""A pair below this in all coarse poses is given up. Copies of one original stay above; what is left at a
coarse pose of the larger disc, seen in coarser steps, is less alike."""


def cropped_scores(
    thumbnails: NDArray[np.uint8], first: NDArray[np.intp], second: NDArray[np.intp]
) -> tuple[Floats, Integers, Integers]:
    """Registered correlation of pairs of tiles, both of them turned and cropped, and mirrored.

    Args:
        thumbnails: `(n, side, side, 3)`, uint8, RGB.
        first: `(pairs,)`, row numbers, sorted.
        second: `(pairs,)`, row numbers.

    Returns:
        Three arrays `(pairs,)`: the best correlation over all rotations of both by whole degrees up to 25
        and all mirror images (of pairs nowhere alike, over some of them); the degrees of the first tile and
        of the second in which it was found.
    """
    disc = disc_of(_CROPPED_RADIUS)
    degrees = np.arange(-MAX_ROTATION_DEG, MAX_ROTATION_DEG + 1)
    seen = looks(thumbnails, disc, [cropped_rotation(float(angle)) for angle in degrees])
    around = _around(np.arange(1, len(degrees), 4), len(degrees), reach=3)
    mirrors = disc.mirrors(quarter_turns=False)
    scores, ours, theirs = _best(
        seen, seen, mirrors, around, around, first, second, least=_COARSE_LEAST_CROPPED
    )
    return scores, degrees[ours], degrees[theirs]


def shifted_scores(
    thumbnails: NDArray[np.uint8], first: NDArray[np.intp], second: NDArray[np.intp]
) -> Floats:
    """Registered correlation of pairs of tiles, one of them turned by any angle, mirrored and shifted.

    Args:
        thumbnails: `(n, side, side, 3)`, uint8, RGB.
        first: `(pairs,)`, row numbers, sorted.
        second: `(pairs,)`, row numbers.

    Returns:
        `(pairs,)`: the best correlation over rotations in steps of 2°, mirror images and shifts up to 11 %;
        of pairs nowhere alike, that over some of them.
    """
    disc = disc_of(_SHIFTED_RADIUS)
    turns = np.arange(-45, 46, _TURN_STEP_DEG)
    turned = looks(thumbnails, disc, [rotation(float(angle)) for angle in turns])
    steps = np.arange(-_SHIFT_STEPS, _SHIFT_STEPS + 1)
    shifts = [(float(row), float(column)) for row in steps * _SHIFT_STEP for column in steps * _SHIFT_STEP]
    shifted = looks(thumbnails, disc, [np.eye(2)] * len(shifts), shifts)
    # Every second shift to either side, and the eight around it.
    line = _around(np.arange(1, len(steps), 2), len(steps), reach=1)
    both = (line[:, None, :, None] * len(steps) + line[None, :, None, :]).reshape(len(line) ** 2, -1)
    around = _around(np.arange(1, len(turns), 3), len(turns), reach=2)
    mirrors = disc.mirrors(quarter_turns=True)
    return _best(shifted, turned, mirrors, both, around, first, second, least=_COARSE_LEAST_SHIFTED)[0]


def _around(coarse: NDArray[np.intp], n: int, *, reach: int) -> NDArray[np.intp]:
    """The numbers near each coarse one, `(coarse, 2 * reach + 1)`, itself in the middle, within 0 and n."""
    near: NDArray[np.intp] = np.clip(coarse[:, None] + np.arange(-reach, reach + 1), 0, n - 1)
    return near


def _best(
    ours: NDArray[np.float16],
    theirs: NDArray[np.float16],
    mirrors: list[Floats],
    our_poses: NDArray[np.intp],
    their_poses: NDArray[np.intp],
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    *,
    least: float,
) -> tuple[Floats, Integers, Integers]:
    """Best correlation of pairs over the poses of either and all mirror images, coarse to fine.

    Args:
        ours: `(n, p, d)`, looks at the first tile of a pair.
        theirs: `(n, q, d)`, looks at the second.
        mirrors: `(d, d)` matrices.
        our_poses: `(c, w)`: the poses around each coarse pose, which is in the middle column.
        their_poses: The same for `theirs`.
        first: `(pairs,)`, row numbers, sorted.
        second: `(pairs,)`, row numbers.
        least: Coarse correlation below which a pair is not looked at closely.

    Returns:
        Three arrays `(pairs,)`: the correlation, and the pose of the first tile and of the second.
    """
    low = slice(0, _COARSE_PATTERNS)
    coarse = our_poses[:, our_poses.shape[1] // 2]
    their_coarse = scratch((len(theirs), len(their_poses), _COARSE_PATTERNS), np.float64)
    for start in range(0, len(theirs), _ROWS):
        part = slice(start, start + _ROWS)
        their_coarse[part] = theirs[part, their_poses[:, their_poses.shape[1] // 2], low]
    found = np.zeros(len(first))
    poses = np.zeros((2, len(first)), dtype=np.intp)
    for own, pairs in _by_first(first, len(ours)):
        others = second[pairs]
        mirrored = np.stack([ours[own].astype(np.float64) @ mirror for mirror in mirrors])
        queries = mirrored[:, coarse, low].reshape(-1, _COARSE_PATTERNS)
        products = their_coarse[others].reshape(-1, _COARSE_PATTERNS) @ queries.T
        products = products.reshape(len(others), -1)
        best = products.argmax(axis=1)
        scores = products[np.arange(len(others)), best]
        shape = (len(their_poses), len(mirrors), len(our_poses))
        their_best, mirror, our_best = np.unravel_index(best, shape)
        poses[:, pairs] = coarse[our_best], their_poses[their_best, their_poses.shape[1] // 2]
        close = np.flatnonzero(scores >= least)
        if len(close):
            our_near, their_near = our_poses[our_best[close]], their_poses[their_best[close]]
            ours_near = mirrored[mirror[close][:, None], our_near]
            theirs_near = theirs[others[close][:, None], their_near].astype(np.float64)
            products = (ours_near @ theirs_near.transpose(0, 2, 1)).reshape(len(close), -1)
            best = products.argmax(axis=1)
            rows = np.arange(len(close))
            scores[close] = products[rows, best]
            poses[0, pairs[close]] = our_near[rows, best // their_near.shape[1]]
            poses[1, pairs[close]] = their_near[rows, best % their_near.shape[1]]
        found[pairs] = scores
    return found, poses[0], poses[1]


def _by_first(first: NDArray[np.intp], n: int) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """The pairs of each tile that is the first of any: its row number, and the numbers of its pairs."""
    bounds = np.searchsorted(first, np.arange(n + 1))
    for own in range(n):
        if bounds[own] < bounds[own + 1]:
            yield own, np.arange(bounds[own], bounds[own + 1])
