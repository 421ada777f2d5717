"""Registration of tissue tiles: are two tiles pictures of the same spot, one of them turned or mirrored?

A tile is looked at in *poses*. A pose says how the tile may have been cut from its original; undoing it gives
the disc around the original's centre as that original showed it. Two tiles of one original agree in that disc
(correlation near 1) in some pair of poses, up to a mirror image; tiles of different originals do not. The
discs are reduced to the amplitudes of a fixed set of patterns, in which a correlation is a short dot product.

Two families of poses are tried, by `cropped_scores` and `shifted_scores`. The first is that of LC25000.
Measured on its tiles, a copy is its original turned by a whole number of degrees up to 25, cropped to hide
the empty corners, stretched back to the full square, and mirrored. The crop is the one that the Augmentor
library computed: wide and high by different factors, so that no rotation alone undoes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lung_attention.similarity import grey

Floats = NDArray[np.float32]
Integers = NDArray[np.intp]

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

_GRID = 37
"""Sampling points across the disc: at least one a pixel of a 64 px thumbnail."""

_BLUR = 1 / 64
"""Standard deviation of the smoothing, of the original's side. It hides that a cropped, enlarged copy shows
finer detail than its original does in a thumbnail of the same size."""

_TEXTURE = 0.06
"""Length over which tissue is taken to be correlated, of the original's side, in choosing the patterns."""

_PATTERNS = 96
"""Amplitudes a disc. They hold about 99 % of the energy of real tiles' small discs."""

_COARSE_PATTERNS = 64
"""Patterns used in the coarse search; the strongest come first."""

_COARSE_LEAST_CROPPED = 0.65
_COARSE_LEAST_SHIFTED = 0.5
"""A pair below this in all coarse poses is given up. Copies of one original stay above; what is left at a
coarse pose of the larger disc, seen in coarser steps, is less alike."""

_MIN_CONTRAST = 1.5
"""Standard deviation in grey levels under which a disc shows nothing that could be compared."""

_CHUNK = 512

_POSES_AT_ONCE = 64


def cropped_rotation(degrees: float) -> NDArray[np.float64]:
    """Matrix of a rotation whose empty corners were cropped away, as LC25000's copies were made.

    For a square of side 1 turned by a, t = tan |a|, the turned square is X = cos |a| + sin |a| wide. The crop
    leaves E = t X (1 - t) away left and right and A = t (X - E) above and below, and what remains is
    stretched back to a side of 1.

    Args:
        degrees: The rotation, of magnitude below 45.

    Returns:
        `(2, 2)`: takes (row, column) in the copy to (row, column) in the original, both from the centre.
    """
    angle = np.deg2rad(abs(degrees))
    tangent = np.tan(angle)
    extent = np.cos(angle) + np.sin(angle)
    aside = tangent * extent * (1 - tangent)
    above = tangent * (extent - aside)
    return rotation(degrees) @ np.diag([extent - 2 * above, extent - 2 * aside])


def rotation(degrees: float) -> NDArray[np.float64]:
    """Matrix `(2, 2)` of a plain rotation, which neither crops nor stretches, as in `cropped_rotation`."""
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


class Disc:
    """The disc that is compared, its patterns, and what mirroring does to them.

    Args:
        radius: Of the original's side.

    Attributes:
        points: `(2, m)`: rows and columns from the centre, of the original's side.
        projection: `(m, d)`: takes the values in a disc to amplitudes of orthonormal patterns.
    """

    def __init__(self, radius: float) -> None:
        axis = np.linspace(-radius, radius, _GRID)
        rows, columns = np.meshgrid(axis, axis, indexing="ij")
        self._inside = np.hypot(rows, columns) <= radius * (1 + 1e-9)
        self.points = np.stack([rows[self._inside], columns[self._inside]])
        distances = np.sqrt(((self.points[:, :, None] - self.points[:, None, :]) ** 2).sum(axis=0))
        kernel = np.exp(-(distances**2) / (2 * _BLUR**2))
        smoothing = kernel / kernel.sum(axis=1, keepdims=True)
        smoothing -= smoothing.mean(axis=0)
        # The patterns are principal components of smoothed texture whose correlation falls off exponentially
        # with distance. They are fixed, not learnt from the tiles, so that the score of two tiles does not
        # hang on which other tiles there are.
        covariance = smoothing @ np.exp(-distances / _TEXTURE) @ smoothing.T
        vectors = np.linalg.eigh(covariance)[1][:, ::-1]
        self._vectors = vectors[:, :_PATTERNS]
        self.projection = smoothing.T @ self._vectors

    def mirrors(self, *, quarter_turns: bool) -> list[Floats]:
        """Matrices that mirror a disc, given and returned as amplitudes.

        Args:
            quarter_turns: Also turn by 90°: all eight symmetries of the square instead of four.

        Returns:
            Four or eight `(d, d)` matrices; `amplitudes @ matrix` are those of the mirrored disc.
        """
        number = np.zeros(self._inside.shape, dtype=np.intp)
        number[self._inside] = np.arange(self.points.shape[1])
        found = []
        for turned in (number, number.T) if quarter_turns else (number,):
            for mirrored in (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]):
                order = mirrored[self._inside]
                found.append((self._vectors[order].T @ self._vectors).astype(np.float32))
        return found


@cache
def _disc(radius: float) -> Disc:
    return Disc(radius)


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
    disc = _disc(_CROPPED_RADIUS)
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
    disc = _disc(_SHIFTED_RADIUS)
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
    their_coarse = np.ascontiguousarray(
        theirs[:, their_poses[:, their_poses.shape[1] // 2], low], dtype=np.float32
    )
    found = np.zeros(len(first), dtype=np.float32)
    poses = np.zeros((2, len(first)), dtype=np.intp)
    for own, pairs in _by_first(first, len(ours)):
        others = second[pairs]
        mirrored = np.stack([ours[own].astype(np.float32) @ mirror for mirror in mirrors])
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
            theirs_near = theirs[others[close][:, None], their_near].astype(np.float32)
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


def looks(
    thumbnails: NDArray[np.uint8],
    disc: Disc,
    poses: list[NDArray[np.float64]],
    shifts: list[tuple[float, float]] | None = None,
) -> NDArray[np.float16]:
    """Amplitudes of each tile's disc in each pose.

    Args:
        thumbnails: `(n, side, side, 3)`, uint8, RGB.
        disc: The disc.
        poses: `(2, 2)` matrices from tile to original.
        shifts: Where the disc lies in the tile (row, column), from the centre and of the tile's side, one
            for each pose; `None` for the centre.

    Returns:
        `(n, poses, d)`, float16, each of length 1; zero where the disc is blank.
    """
    side = thumbnails.shape[1]
    shifts = shifts or [(0.0, 0.0)] * len(poses)
    found = np.empty((len(thumbnails), len(poses), _PATTERNS), dtype=np.float16)
    least = _MIN_CONTRAST * np.sqrt(disc.points.shape[1])
    for block in range(0, len(poses), _POSES_AT_ONCE):
        weights = []
        for number in range(block, min(block + _POSES_AT_ONCE, len(poses))):
            sampling = sampler(side, disc.points, poses[number], shifts[number])
            weight = np.asarray(sampling.T @ disc.projection, dtype=np.float32)
            seen = np.flatnonzero(weight.any(axis=1))
            weights.append((number, seen, weight[seen]))
        for start in range(0, len(thumbnails), _CHUNK):
            part = slice(start, start + _CHUNK)
            pixels = grey(thumbnails[part]).reshape(-1, side * side)
            for number, seen, weight in weights:
                amplitudes = pixels[:, seen] @ weight
                lengths = np.linalg.norm(amplitudes, axis=1, keepdims=True)
                found[part, number] = np.where(lengths < least, 0, amplitudes / np.maximum(lengths, least))
    return found


def sampler(
    side: int, points: NDArray[np.float64], pose: NDArray[np.float64], shift: tuple[float, float]
) -> sparse.csr_array:
    """Matrix `(m, side * side)` that samples a tile where its original's points are, bilinearly.

    Args:
        side: Of the tile, in pixels.
        points: `(2, m)`, rows and columns from the centre, of the original's side.
        pose: `(2, 2)`, from tile to original.
        shift: Added to the points in the tile (row, column), of its side.

    Returns:
        The matrix. Points outside the tile get the value at its margin.
    """
    places = (np.linalg.inv(pose) @ points + np.array(shift)[:, None]) * side + (side - 1) / 2
    places = np.clip(places, 0, side - 1.001)
    corner = np.floor(places).astype(np.intp)
    fraction = places - corner
    numbers = np.arange(places.shape[1])
    rows, columns, values = [], [], []
    for down in (0, 1):
        for right in (0, 1):
            rows.append(numbers)
            columns.append((corner[0] + down) * side + corner[1] + right)
            values.append(
                np.where(down, fraction[0], 1 - fraction[0]) * np.where(right, fraction[1], 1 - fraction[1])
            )
    shape = (len(numbers), side * side)
    return sparse.csr_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape)
