"""What the pictures of the synthetic sample are drawn with: coordinates, noise, soft-edged shapes.

Everything is elementwise arithmetic (+ - * / sqrt, comparisons) on float64 arrays and uniform or integer
random numbers, all of which IEEE 754 and NumPy's generators fix to the last bit. There is no sine, no
normal deviate, no matrix product and no Fourier transform, whose last bits differ between processors and
would now and then change a pixel.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_LATTICE = 64


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A uniform number of [low, high)."""
    return low + (high - low) * float(rng.random())


def directions(rng: np.random.Generator, count: int) -> Field:
    """Random unit vectors, shape (count, 2), from the rational parametrisation of the circle.

    Not exactly uniform in angle, which no picture shows, but free of sine and cosine.
    """
    t = 2 * rng.random(count) - 1
    unit = np.stack([(1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)], axis=1)
    return unit * (2 * rng.integers(0, 2, (count, 1)) - 1)


def window(
    height: int, width: int, *, centre: tuple[float, float] = (0.0, 0.0), half: float = 1.0
) -> tuple[Field, Field]:
    """Coordinates of the pixel centres of a picture.

    Args:
        height: Rows in pixels.
        width: Columns in pixels.
        centre: World coordinates (x, y) of the picture's middle.
        half: Half of the shorter side in world units.

    Returns:
        `y` and `x`, each of shape (height, width), y pointing down.
    """
    unit = 2 * half / min(height, width)
    y = centre[1] + (np.arange(height) + 0.5 - height / 2) * unit
    x = centre[0] + (np.arange(width) + 0.5 - width / 2) * unit
    return np.repeat(y[:, None], width, axis=1), np.repeat(x[None, :], height, axis=0)


def smooth_noise(lattice: Field, y: Field, x: Field, per_unit: float) -> Field:
    """Value noise: a lattice of random numbers, interpolated smoothly, at world coordinates.

    Args:
        lattice: Values of [-1, 1], shape (64, 64), repeated periodically.
        y: Rows of the points in world units.
        x: Columns of the points, of the same shape.
        per_unit: Lattice cells in one world unit.

    Returns:
        Noise of [-1, 1] in the shape of `y`.
    """
    v, u = y * per_unit + 1000.0, x * per_unit + 1000.0
    i, j = np.floor(v), np.floor(u)
    fv, fu = v - i, u - j
    fv, fu = fv * fv * (3 - 2 * fv), fu * fu * (3 - 2 * fu)
    row, column = i.astype(np.int64) % _LATTICE, j.astype(np.int64) % _LATTICE
    below, right = (row + 1) % _LATTICE, (column + 1) % _LATTICE
    top = lattice[row, column] * (1 - fu) + lattice[row, right] * fu
    bottom = lattice[below, column] * (1 - fu) + lattice[below, right] * fu
    return top * (1 - fv) + bottom * fv


def lattice_of(rng: np.random.Generator) -> Field:
    """Random numbers of [-1, 1), shape (64, 64), for `smooth_noise`."""
    return 2 * rng.random((_LATTICE, _LATTICE)) - 1


def cover(distance: Field, softness: float) -> Field:
    """1 inside (negative distance), 0 outside, a linear ramp of twice `softness` between."""
    return np.clip(0.5 - distance / (2 * softness), 0, 1)


def paint(canvas: Field, value: Field | float, mask: Field) -> None:
    """Lays `value` over `canvas`, in place, as far as `mask` (0..1) covers it."""
    canvas += (value - canvas) * mask


def to_pixels(canvas: Field) -> Pixels:
    """Rounds to the nearest of 0..255, halves upwards; the shape stays."""
    return np.floor(np.clip(canvas, 0, 255) + 0.5).astype(np.uint8)


def ellipse(u: Field, v: Field, a: float, b: float) -> Field:
    """Roughly the signed distance to the ellipse with semi-axes `a` along `u` and `b` along `v`."""
    return (np.sqrt((u / a) * (u / a) + (v / b) * (v / b)) - 1) * min(a, b)


def rod(y: Field, x: Field, start: tuple[float, float], unit: Field, length: float, radius: float) -> Field:
    """Signed distance to a rod that starts at `start` (x, y) and tapers to half of `radius`."""
    along = np.clip((x - start[0]) * unit[0] + (y - start[1]) * unit[1], 0, length)
    dx, dy = x - start[0] - along * unit[0], y - start[1] - along * unit[1]
    distance: Field = np.sqrt(dx * dx + dy * dy) - radius * (1 - 0.5 * along / length)
    return distance
