"""What a tile shows of its original: the disc around the middle, seen in a pose, as a few amplitudes.

A pose says how the tile may have been cut from its original; undoing it gives the disc as the original showed
it. The disc is reduced to the amplitudes of a fixed set of patterns, in which a correlation is a short dot
product and mirroring is a matrix.

All of it is in double precision until amplitudes are rounded to half: libraries of linear algebra round
otherwise on other processors, and one group more would make another partition of all.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lung_attention.groups.linking import Integers
from lung_attention.writing import scratch

Floats = NDArray[np.float64]

_GRID = 37
"""Sampling points across the disc: at least one a pixel of a 64 px thumbnail."""

_BLUR = 1 / 64
"""Standard deviation of the smoothing, of the original's side. It hides that a cropped, enlarged copy shows
finer detail than its original does in a thumbnail of the same size."""

_TEXTURE = 0.06
"""Length over which tissue is taken to be correlated, of the original's side, in choosing the patterns."""

PATTERNS = 96
"""Amplitudes a disc. They hold about 99 % of the energy of real tiles' small discs."""

_DECIMALS = 12
"""Shares of variance that agree to here are equal."""

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
        self._numbers = np.zeros(self._inside.shape, dtype=np.intp)
        self._numbers[self._inside] = np.arange(self.points.shape[1])
        distances = np.sqrt(((self.points[:, :, None] - self.points[:, None, :]) ** 2).sum(axis=0))
        kernel = np.exp(-(distances**2) / (2 * _BLUR**2))
        smoothing = kernel / kernel.sum(axis=1, keepdims=True)
        smoothing -= smoothing.mean(axis=0)
        # The patterns are principal components of smoothed texture whose correlation falls off exponentially
        # with distance. They are fixed, not learnt from the tiles, so that the score of two tiles does not
        # hang on which other tiles there are.
        covariance = smoothing @ np.exp(-distances / _TEXTURE) @ smoothing.T
        self._vectors = self._patterns(covariance)
        self.projection = smoothing.T @ self._vectors

    def _patterns(self, covariance: Floats) -> Floats:
        """The strongest principal components `(m, PATTERNS)`, even or odd in rows and in columns.

        A disc turned by 90° is the same disc, so components come in pairs of one variance, in which each
        library would choose directions of its own. One of a pair is even where the other one is odd.
        """
        upside_down, left_right = (self._order(self._numbers[::-1]), self._order(self._numbers[:, ::-1]))
        variances, vectors = [], []
        for in_rows in (1, -1):
            half = (covariance + in_rows * covariance[upside_down]) / 2
            for in_columns in (1, -1):
                found = np.linalg.eigh((half + in_columns * half[left_right]) / 2)
                variances.append(found.eigenvalues)
                vectors.append(found.eigenvectors)
        # Equal ones in the order of their parities, whatever rounding leaves between them.
        shares = np.concatenate(variances) / np.trace(covariance)
        strongest = np.argsort(-shares.round(_DECIMALS), kind="stable")[:PATTERNS]
        return np.concatenate(vectors, axis=1)[:, strongest]

    def _order(self, numbers: Integers) -> Integers:
        """The points in the order in which a grid has them."""
        return numbers[self._inside]

    def mirrors(self, *, quarter_turns: bool) -> list[Floats]:
        """Matrices that mirror a disc, given and returned as amplitudes.

        Args:
            quarter_turns: Also turn by 90°: all eight symmetries of the square instead of four.

        Returns:
            Four or eight `(d, d)` matrices; `amplitudes @ matrix` are those of the mirrored disc.
        """
        found = []
        for turned in (self._numbers, self._numbers.T) if quarter_turns else (self._numbers,):
            for mirrored in (turned, turned[::-1], turned[:, ::-1], turned[::-1, ::-1]):
                found.append(self._vectors[self._order(mirrored)].T @ self._vectors)
        return found


@cache
def disc_of(radius: float) -> Disc:
    """The disc of a radius, of the original's side; worked out once, which takes a second."""
    return Disc(radius)


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
        `(n, poses, d)`, float16, each of length 1; zero where the disc is blank. In a file (`scratch`).
    """
    side = thumbnails.shape[1]
    shifts = shifts or [(0.0, 0.0)] * len(poses)
    found = scratch((len(thumbnails), len(poses), PATTERNS), np.float16)
    least = _MIN_CONTRAST * np.sqrt(disc.points.shape[1])
    for block in range(0, len(poses), _POSES_AT_ONCE):
        weights = []
        for number in range(block, min(block + _POSES_AT_ONCE, len(poses))):
            sampling = sampler(side, disc.points, poses[number], shifts[number])
            weight = sampling.T @ disc.projection
            seen = np.flatnonzero(weight.any(axis=1))
            weights.append((number, seen, weight[seen]))
        for start in range(0, len(thumbnails), _CHUNK):
            part = slice(start, start + _CHUNK)
            pixels = luma(thumbnails[part]).reshape(-1, side * side)
            for number, seen, weight in weights:
                amplitudes = pixels[:, seen] @ weight
                lengths = np.linalg.norm(amplitudes, axis=1, keepdims=True)
                found[part, number] = np.where(lengths < least, 0, amplitudes / np.maximum(lengths, least))
    return found


def luma(thumbnails: NDArray[np.uint8]) -> Floats:
    """Luma of RGB thumbnails (ITU-R 601), not rounded.

    Args:
        thumbnails: `(n, rows, cols, 3)`, uint8, RGB.

    Returns:
        `(n, rows, cols)`, float64, in [0, 255].
    """
    weights = np.array([0.299, 0.587, 0.114])
    found: Floats = thumbnails @ weights
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
