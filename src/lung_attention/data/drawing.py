"""How the pictures of the synthetic sample are drawn: thorax slices and stained tissue. No medical data.

Everything is elementwise arithmetic (+ - * / sqrt, comparisons) on float64 arrays and uniform or integer
random numbers, all of which IEEE 754 and NumPy's generators fix to the last bit. There is no sine, no
normal deviate, no matrix product and no Fourier transform, whose last bits differ between processors and
would now and then change a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Field = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_LATTICE = 64
TISSUES = ("adenocarcinoma", "benign", "squamous_cell_carcinoma")
_CALIBRATION_PX = 96


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


def _lattice(rng: np.random.Generator) -> Field:
    return 2 * rng.random((_LATTICE, _LATTICE)) - 1


def _cover(distance: Field, softness: float) -> Field:
    """1 inside (negative distance), 0 outside, a linear ramp of twice `softness` between."""
    return np.clip(0.5 - distance / (2 * softness), 0, 1)


def _paint(canvas: Field, value: Field | float, mask: Field) -> None:
    canvas += (value - canvas) * mask


def _ellipse(u: Field, v: Field, a: float, b: float) -> Field:
    """Roughly the signed distance to the ellipse with semi-axes `a` along `u` and `b` along `v`."""
    return (np.sqrt((u / a) * (u / a) + (v / b) * (v / b)) - 1) * min(a, b)


def _segment(
    y: Field, x: Field, start: tuple[float, float], unit: Field, length: float, radius: float
) -> Field:
    """Signed distance to a rod that starts at `start` (x, y) and tapers to half of `radius`."""
    along = np.clip((x - start[0]) * unit[0] + (y - start[1]) * unit[1], 0, length)
    dx, dy = x - start[0] - along * unit[0], y - start[1] - along * unit[1]
    return np.sqrt(dx * dx + dy * dy) - radius * (1 - 0.5 * along / length)


@dataclass(frozen=True)
class Nodule:
    """A nodule: a ball that is cut higher or lower, with spicules where it is malignant.

    Attributes:
        x: Centre in world units, as seen from the front.
        y: Centre in world units.
        radius: Largest radius in world units.
        grey: Grey value of its inside, 0..255.
        spikes: Unit vectors of its spicules, shape (n, 2); none where it is smooth.
        reach: Length of the spicules in radii.
        lumps: Depth of its lobes in radii.
    """

    x: float
    y: float
    radius: float
    grey: float
    spikes: Field
    reach: float
    lumps: float


def make_nodule(rng: np.random.Generator, x: float, y: float, *, malignant: bool, scale: float) -> Nodule:
    """Draws lots for a nodule at (x, y): malignant ones are larger, denser, lobed and spiculated on average.

    The two kinds overlap in size, so that size alone does not tell them apart.
    """
    if malignant:
        radius, spikes = between(rng, 0.10, 0.18), directions(rng, int(rng.integers(7, 13)))
        return Nodule(x, y, radius * scale, between(rng, 165, 205), spikes, between(rng, 0.5, 1.0), 0.3)
    radius = between(rng, 0.055, 0.115)
    return Nodule(x, y, radius * scale, between(rng, 150, 195), np.zeros((0, 2)), 0.0, 0.05)


class Thorax:
    """One synthetic patient: an anatomy that can be cut at any height and looked at through any window.

    World coordinates: the picture of a whole slice spans -1..1; heights run from -1 to 1.

    Args:
        rng: The patient's random numbers.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.centre = (between(rng, -0.14, 0.14), between(rng, -0.2, 0.12))
        tilt = between(rng, -0.09, 0.09)
        self.turn = ((1 - tilt * tilt) / (1 + tilt * tilt), 2 * tilt / (1 + tilt * tilt))
        self.half = (between(rng, 0.62, 0.9), between(rng, 0.44, 0.66))
        self.fat = between(rng, 0.02, 0.1)
        self.greys = {
            "air": between(rng, 2, 45),
            "fat": between(rng, 95, 140),
            "muscle": between(rng, 140, 185),
            "lung": between(rng, 25, 75),
            "vessel": between(rng, 120, 175),
            "heart": between(rng, 150, 205),
            "aorta": between(rng, 160, 235),
            "bone": between(rng, 215, 250),
        }
        self.lungs = tuple(
            (
                side * between(rng, 0.40, 0.50),
                between(rng, -0.12, 0.08),
                between(rng, 0.29, 0.38),
                between(rng, 0.55, 0.74),
            )
            for side in (-1, 1)
        )
        self.heart = (
            between(rng, 0.0, 0.22),
            between(rng, -0.3, 0.1),
            between(rng, 0.16, 0.36),
            between(rng, 0.25, 0.5),
        )
        self.aorta = (between(rng, 0.05, 0.2), between(rng, 0.3, 0.5), between(rng, 0.05, 0.09))
        self.table = between(rng, 0.06, 0.3)
        self.table_bend = between(rng, 0.1, 0.45)
        self.lattices = (_lattice(rng), _lattice(rng))
        self.haze = between(rng, 4, 16)
        self.grain = between(rng, 3, 9)
        count = int(rng.integers(26, 40))
        starts = 2 * rng.random((count, 2)) - 1
        self.vessels = tuple(
            (start, drift, unit, between(rng, 0.06, 0.3), between(rng, 0.008, 0.022))
            for start, drift, unit in zip(
                starts, 0.25 * (2 * rng.random((count, 2)) - 1), directions(rng, count), strict=True
            )
        )
        self.ribs = directions(rng, 13)

    def spot(self, rng: np.random.Generator, *, depth: float) -> tuple[float, float]:
        """A random place inside one of the lungs, as (x, y); `depth` < 1 keeps it from the pleura."""
        side = self.lungs[int(rng.integers(0, 2))]
        unit = directions(rng, 1)[0] * between(rng, 0.2, depth)
        return self._to_world(
            (side[0] + unit[0] * side[2]) * self.half[0], (side[1] + unit[1] * side[3]) * self.half[1]
        )

    def _to_world(self, u: float, v: float) -> tuple[float, float]:
        cos, sin = self.turn
        return float(self.centre[0] + cos * u - sin * v), float(self.centre[1] + sin * u + cos * v)

    def draw(
        self,
        rng: np.random.Generator,
        y: Field,
        x: Field,
        *,
        height: float,
        nodules: tuple[Nodule, ...] = (),
    ) -> Pixels:
        """Draws a cut.

        Args:
            rng: The random numbers of this cut's grain.
            y: World coordinates of the pixels, shape (rows, columns).
            x: The same for the columns.
            height: Where to cut, -1..1.
            nodules: What the lungs hold; largest at height 0, gone at heights beyond ±1.2.

        Returns:
            Grey values, uint8, shape (rows, columns).
        """
        soft = float(x[0, 1] - x[0, 0])
        cos, sin = self.turn
        a, b = self.half
        u = cos * (x - self.centre[0]) + sin * (y - self.centre[1])
        v = cos * (y - self.centre[1]) - sin * (x - self.centre[0])
        greys = self.greys
        canvas = np.full(x.shape, greys["air"])
        sheet = v - b - self.table + self.table_bend * u * u
        _paint(canvas, 200.0, _cover(np.abs(sheet) - 0.012, soft) * (np.abs(u) < a))
        bumps = 0.03 * smooth_noise(self.lattices[0], y + 0.1 * height, x, 3.0)
        body = _ellipse(u, v, a, b) + bumps
        _paint(canvas, greys["fat"], _cover(body, soft))
        _paint(canvas, greys["muscle"], _cover(body + self.fat, soft))
        lungs = self._lungs(canvas, y, x, u / a, v / b, height, soft)
        for unit in self.ribs:
            at = (0.86 * a * unit[0], 0.84 * b * unit[1] + 0.05 * height)
            tangent = (-unit[1] * b, unit[0] * a)
            size = float(np.sqrt(tangent[0] * tangent[0] + tangent[1] * tangent[1]))
            du, dv = u - at[0], v - at[1]
            along = (du * tangent[0] + dv * tangent[1]) / size
            across = (dv * tangent[0] - du * tangent[1]) / size
            _paint(canvas, greys["bone"], _cover(_ellipse(along, across, 0.085, 0.024), soft))
        self._spine(canvas, u / a, v / b, soft / b)
        for nodule in nodules:
            self._nodule(canvas, nodule, y, x, height, soft, lungs)
        # The sum of two uniform numbers: a triangle is near enough to a bell.
        canvas += self.grain * (rng.random(x.shape) + rng.random(x.shape) - 1) * 2
        return np.floor(np.clip(canvas, 0, 255) + 0.5).clip(0, 255).astype(np.uint8)

    def _lungs(
        self, canvas: Field, y: Field, x: Field, u: Field, v: Field, height: float, soft: float
    ) -> Field:
        """Paints lungs, vessels, heart and aorta; returns the lungs' mask. `u`, `v` span the body, -1..1."""
        greys, blur = self.greys, soft / min(self.half)
        wave = 0.05 * smooth_noise(self.lattices[0], y, x + 0.1 * height, 4.0)
        mask = np.zeros(x.shape)
        for left, low, wide, tall in self.lungs:
            grown = 1 - 0.08 * height * height + 0.04 * height
            mask = np.maximum(
                mask, _cover(_ellipse(u - left, v - low, wide * grown, tall * grown) + wave, blur)
            )
        hx, hy, wide, tall = self.heart
        swell = 1 + 0.12 * height
        heart = _cover(_ellipse(u - hx, v - hy, wide * swell, tall * swell) + 0.5 * wave, blur)
        mask = mask * (1 - heart)
        texture = greys["lung"] + self.haze * smooth_noise(self.lattices[1], y + 0.15 * height, x, 14.0)
        _paint(canvas, texture, mask)
        for start, drift, unit, length, radius in self.vessels:
            at = (
                float(start[0] + drift[0] * height) * self.half[0],
                float(start[1] + drift[1] * height) * self.half[1],
            )
            rod = _cover(_segment(y, x, self._to_world(*at), unit, length, radius), soft)
            _paint(canvas, greys["vessel"], rod * mask)
        _paint(canvas, greys["heart"], heart)
        ax, ay, radius = self.aorta
        _paint(canvas, greys["aorta"], _cover(_ellipse(u - ax, v - ay, radius, radius * 1.3), blur))
        # The windpipe and its two branches, which part further down.
        for side in (-1, 1):
            fork = 0.03 + 0.05 * (height + 1)
            pipe = _ellipse(u - hx * 0.3 - side * fork, v - 0.12, 0.035, 0.06)
            _paint(canvas, greys["air"], _cover(pipe, blur))
        return mask

    def _spine(self, canvas: Field, u: Field, v: Field, blur: float) -> None:
        bone = self.greys["bone"]
        _paint(canvas, bone - 25, _cover(_ellipse(u, v - 0.55, 0.11, 0.15), blur))
        _paint(canvas, bone, _cover(_ellipse(u, v - 0.82, 0.03, 0.13), blur))
        _paint(canvas, bone, _cover(_ellipse(u, v - 0.72, 0.2, 0.035), blur))
        _paint(canvas, self.greys["muscle"], _cover(_ellipse(u, v - 0.74, 0.04, 0.05), blur))

    def _nodule(
        self, canvas: Field, nodule: Nodule, y: Field, x: Field, height: float, soft: float, lungs: Field
    ) -> None:
        cut = 1 - (height / 1.2) * (height / 1.2)
        if cut <= 0:
            return
        radius = nodule.radius * float(np.sqrt(cut))
        dx, dy = x - nodule.x, y - nodule.y
        lobes = nodule.lumps * radius * smooth_noise(self.lattices[1], y, x, 0.9 / nodule.radius)
        mask = _cover(np.sqrt(dx * dx + dy * dy) - radius + lobes, soft)
        for unit in nodule.spikes:
            spike = _segment(y, x, (nodule.x, nodule.y), unit, radius * (1 + nodule.reach), 0.13 * radius)
            mask = np.maximum(mask, _cover(spike, soft))
        # A little of it may stand in the chest wall, as nodules at the pleura do.
        _paint(canvas, nodule.grey, mask * np.clip(lungs + 0.15, 0, 1))


class Tissue:
    """One synthetic source tile, stained like haematoxylin and eosin: nuclei blue to violet, the rest pink.

    Args:
        rng: The tile's random numbers.
        kind: One of `TISSUES`: glands around lumina, alveolar lace, or sheets with keratin pearls.
        size_px: Side of the square picture `draw` gives.
    """

    def __init__(self, rng: np.random.Generator, kind: str, size_px: int) -> None:
        self.rng, self.kind, self.size = rng, kind, size_px
        self.zoom = between(rng, 0.75, 1.3) * size_px / 150
        blue = between(rng, -1, 1)
        red = between(rng, -1, 1)
        dark = between(rng, -18, 14)
        self.nucleus = np.array([92 + 24 * red + dark, 58 + dark, 140 + 18 * blue + dark])
        self.cell = np.array([196 + 14 * red + dark, 140 + 16 * red + dark, 198 + 18 * blue + dark])
        self.fibre = np.array([222 + 12 * red + dark, 150 + 18 * red + dark, 198 + 22 * blue + dark])
        self.light = np.array([236 + 10 * red, 228 + 6 * red, 232 + 12 * blue])
        self.y, self.x = window(size_px, size_px)
        self.lattices = (_lattice(rng), _lattice(rng))

    def draw(self) -> Pixels:
        """Draws the tile: RGB, uint8, shape (size_px, size_px, 3)."""
        canvas = np.empty((self.size, self.size, 3))
        rough = smooth_noise(self.lattices[0], self.y, self.x, 9.0)
        streaks = smooth_noise(self.lattices[1], self.y * 4 + self.x, self.x, 5.0)
        canvas[:] = self.fibre + 13 * (rough + streaks)[..., None]
        {"adenocarcinoma": self._glands, "benign": self._lace, "squamous_cell_carcinoma": self._sheets}[
            self.kind
        ](canvas)
        canvas += 5 * (2 * self.rng.random((self.size, self.size, 1)) - 1)
        return np.floor(np.clip(canvas, 0, 255) + 0.5).clip(0, 255).astype(np.uint8)

    def _nuclei(
        self, canvas: Field, places: Field, units: Field, *, size: float, slender: float, jitter: float
    ) -> None:
        """Stamps nuclei at pixel `places` (x, y), long along `units`; each in its own small patch."""
        for (cx, cy), unit in zip(places, units, strict=True):
            half = size * self.zoom * between(self.rng, 1 - jitter, 1 + jitter)
            shade = self.nucleus + between(self.rng, -16, 22)
            reach = int(half) + 3
            top, left = max(0, int(cy) - reach), max(0, int(cx) - reach)
            patch = canvas[top : int(cy) + reach + 1, left : int(cx) + reach + 1]
            if not (0 <= cx < self.size and 0 <= cy < self.size):
                continue
            dy = (np.arange(patch.shape[0]) + top - cy)[:, None]
            dx = (np.arange(patch.shape[1]) + left - cx)[None, :]
            along, across = dx * unit[0] + dy * unit[1], dy * unit[0] - dx * unit[1]
            distance = _ellipse(along, across, half, half / slender)
            # A paler middle with a darker rim, as chromatin has.
            tone = shade + 14 * np.clip(-distance / half, 0, 1)[..., None]
            _paint(patch, tone, _cover(distance, 0.7)[..., None])

    def _grid_places(self, step: float) -> Field:
        """Jittered grid points in pixels, shape (n, 2)."""
        marks = np.arange(step / 2, self.size, step)
        grid = np.stack(np.meshgrid(marks, marks), axis=-1).reshape(-1, 2)
        return grid + 0.7 * step * (self.rng.random(grid.shape) - 0.5)

    def _keep(self, places: Field, mask: Field, at_least: float) -> Field:
        """The places where `mask`, a picture of 0..1, is at least so high."""
        column, row = np.clip(places.astype(np.int64), 0, self.size - 1).T
        return places[mask[row, column] >= at_least]

    def _solid(self, canvas: Field, mask: Field) -> None:
        """Fills `mask` with packed cells without lumina."""
        rough = smooth_noise(self.lattices[0], self.y, self.x, 6.0)
        _paint(canvas, self.cell + 12 * rough[..., None], mask[..., None])
        places = self._keep(self._grid_places(between(self.rng, 11, 14) * self.zoom), mask, 0.5)
        self._nuclei(canvas, places, directions(self.rng, len(places)), size=4.2, slender=1.35, jitter=0.3)

    def _scattered(self, canvas: Field, count: int) -> None:
        """Slender nuclei of the connective tissue, all lying about the same way."""
        places = self.size * self.rng.random((count, 2))
        units = np.repeat(directions(self.rng, 1), count, axis=0)
        self._nuclei(canvas, places, units, size=4.0, slender=2.8, jitter=0.3)

    def _glands(self, canvas: Field) -> None:
        rng, pixel = self.rng, 2 / self.size
        solid = between(rng, -0.6, 0.45)  # how much of the tile is poorly differentiated
        self._solid(canvas, np.clip(4 * (smooth_noise(self.lattices[1], self.y, self.x, 1.3) + solid), 0, 1))
        self._scattered(canvas, 18)
        for _ in range(int(rng.integers(2, 5))):
            cx, cy = between(rng, -0.8, 0.8), between(rng, -0.8, 0.8)
            unit, a, b = (
                directions(rng, 1)[0],
                between(rng, 0.26, 0.5) * self.zoom,
                between(rng, 0.2, 0.36) * self.zoom,
            )
            dx, dy = self.x - cx, self.y - cy
            u, v = dx * unit[0] + dy * unit[1], dy * unit[0] - dx * unit[1]
            ring = _ellipse(u, v, a, b) + 0.07 * smooth_noise(self.lattices[0], self.y, self.x, 4.0)
            _paint(canvas, self.cell, _cover(ring, pixel)[..., None])
            lumen = between(rng, 0.4, 0.75) * b
            _paint(canvas, self.light, _cover(ring + lumen, 2 * pixel)[..., None])
            places = self._keep(
                self._grid_places(6.5 * self.zoom), 1 - np.clip(np.abs(ring + 0.05) / 0.06, 0, 1), 0.3
            )
            centre = np.array([(cx + 1) / pixel, (cy + 1) / pixel])
            spokes = places - centre
            spokes = spokes / np.maximum(np.sqrt(spokes[:, :1] ** 2 + spokes[:, 1:] ** 2), 1e-6)
            self._nuclei(canvas, places, spokes, size=4.4, slender=1.7, jitter=0.25)

    def _lace(self, canvas: Field) -> None:
        rng = self.rng
        seeds = 2.6 * rng.random((int(rng.integers(7, 13)), 2)) - 1.3
        warp = 0.12 * smooth_noise(self.lattices[0], self.y, self.x, 3.5)
        away = np.sort(
            np.sqrt(
                (self.x[..., None] + warp[..., None] - seeds[:, 0]) ** 2
                + (self.y[..., None] - seeds[:, 1]) ** 2
            ),
            axis=-1,
        )
        thick = between(rng, 0.05, 0.16) * self.zoom
        wall = _cover(
            away[..., 1] - away[..., 0] - thick * (1.2 + smooth_noise(self.lattices[1], self.y, self.x, 3.0)),
            0.02,
        )
        _paint(canvas, self.light, (1 - wall)[..., None])
        places = self._keep(self._grid_places(between(rng, 10, 14) * self.zoom), wall, 0.6)
        self._nuclei(canvas, places, directions(rng, len(places)), size=3.6, slender=1.8, jitter=0.3)
        cells = self._keep(self.size * rng.random((int(rng.integers(0, 60)), 2)), 1 - wall, 0.5)
        violet, self.nucleus = self.nucleus, np.array([205.0, 60.0, 90.0])  # red blood cells
        self._nuclei(canvas, cells, directions(rng, len(cells)), size=2.6, slender=1.1, jitter=0.1)
        self.nucleus = violet

    def _sheets(self, canvas: Field) -> None:
        rng, pixel = self.rng, 2 / self.size
        fibrous = between(rng, 0.1, 0.9)
        self._solid(
            canvas, np.clip(4 * (smooth_noise(self.lattices[1], self.y, self.x, 1.6) + fibrous), 0, 1)
        )
        self._scattered(canvas, 12)
        for kind in range(int(rng.integers(1, 4))):
            dx, dy = self.x - between(rng, -0.8, 0.8), self.y - between(rng, -0.8, 0.8)
            warp = 0.06 * smooth_noise(self.lattices[0], self.y, self.x, 4.0)
            away = np.sqrt(dx * dx + dy * dy) + warp
            radius = between(rng, 0.14, 0.34) * self.zoom
            if kind == 2:  # a cleft, which may be taken for a lumen
                _paint(canvas, self.light, _cover(away - 0.7 * radius, pixel)[..., None])
                continue
            # Whorls: a triangle wave of the distance from the pearl's middle.
            wave = away / (0.07 * self.zoom)
            whorl = np.abs(wave - np.floor(wave) - 0.5) * 4 - 1
            pearl = np.array([232.0, 128.0, 172.0]) + 20 * whorl[..., None]
            _paint(canvas, pearl, _cover(away - radius, 2 * pixel)[..., None])


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
            thorax = Thorax(rng)
            nodule = make_nodule(rng, *thorax.spot(rng, depth=0.8), malignant=index % 4 == 0, scale=1.0)
            y, x = window(_CALIBRATION_PX, _CALIBRATION_PX, half=between(rng, 0.4, 1.0))
            grey = thorax.draw(rng, y, x, height=between(rng, -0.8, 0.8), nodules=(nodule,))
            drawn = np.repeat(grey[..., None], 3, axis=2)
        image = Image.fromarray(drawn).resize((size_px, size_px), Image.Resampling.BILINEAR)
        pictures[index] = np.asarray(image)
    return pictures
