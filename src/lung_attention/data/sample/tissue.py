"""Synthetic lung tissue, stained like haematoxylin and eosin."""

from __future__ import annotations

import numpy as np

from lung_attention.data.sample.shapes import (
    Field,
    Pixels,
    between,
    cover,
    directions,
    ellipse,
    lattice_of,
    paint,
    smooth_noise,
    to_pixels,
    window,
)

TISSUES = ("adenocarcinoma", "benign", "squamous_cell_carcinoma")


class Tissue:
    """One synthetic source tile, stained like haematoxylin and eosin: nuclei blue to violet, the rest pink.

    Args:
        rng: The tile's random numbers.
        kind: One of `TISSUES`: glands around lumina, alveolar lace, or sheets with keratin pearls.
        size_px: Side of the square picture `draw` gives.
    """

    def __init__(self, rng: np.random.Generator, kind: str, size_px: int) -> None:
        self.rng, self.kind, self.size = rng, kind, size_px
        self.zoom = between(rng, 0.8, 1.2) * size_px / 150
        # Tumours stain bluer and darker than lung, squamous ones most, but tiles vary more than classes.
        tint = {"adenocarcinoma": 0.0, "benign": -0.3, "squamous_cell_carcinoma": 0.35}[kind]
        blue = tint + between(rng, -0.6, 0.6)
        red = -tint + between(rng, -0.6, 0.6)
        dark = -30 * tint + between(rng, -14, 12)
        self.nucleus = np.array([128 + 20 * red + dark, 88 + 10 * red + dark, 160 + 18 * blue + dark])
        self.cell = np.array([196 + 14 * red + dark, 140 + 16 * red + dark, 198 + 18 * blue + dark])
        self.fibre = np.array([222 + 12 * red + dark, 150 + 18 * red + dark, 198 + 22 * blue + dark])
        self.light = np.array([236 + 10 * red, 228 + 6 * red, 232 + 12 * blue])
        self.y, self.x = window(size_px, size_px)
        self.lattices = (lattice_of(rng), lattice_of(rng))

    def draw(self) -> Pixels:
        """Draws the tile: RGB, uint8, shape (size_px, size_px, 3)."""
        canvas = np.empty((self.size, self.size, 3))
        rough = smooth_noise(self.lattices[0], self.y, self.x, 9.0)
        streaks = smooth_noise(self.lattices[1], self.y * 4 + self.x, self.x, 5.0)
        canvas[:] = self.fibre + 13 * (rough + streaks)[..., None]
        {"adenocarcinoma": self._glands, "benign": self._lace, "squamous_cell_carcinoma": self._sheets}[
            self.kind
        ](canvas)
        canvas += 3 * (2 * self.rng.random((self.size, self.size, 1)) - 1)
        return to_pixels(canvas)

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
            distance = ellipse(along, across, half, half / slender)
            # A paler middle with a darker rim, as chromatin has.
            tone = shade + 14 * np.clip(-distance / half, 0, 1)[..., None]
            paint(patch, tone, cover(distance, 0.7)[..., None])

    def _grid_places(self, step: float) -> Field:
        """Jittered grid points in pixels, shape (n, 2)."""
        marks = np.arange(step / 2, self.size, step)
        grid = np.stack(np.meshgrid(marks, marks), axis=-1).reshape(-1, 2)
        return grid + 0.7 * step * (self.rng.random(grid.shape) - 0.5)

    def _keep(self, places: Field, mask: Field, at_least: float) -> Field:
        """The places where `mask`, a picture of 0..1, is at least so high."""
        column, row = np.clip(places.astype(np.int64), 0, self.size - 1).T
        kept: Field = places[mask[row, column] >= at_least]
        return kept

    def _solid(self, canvas: Field, mask: Field) -> None:
        """Fills `mask` with packed cells without lumina."""
        rough = smooth_noise(self.lattices[0], self.y, self.x, 6.0)
        paint(canvas, self.cell + 12 * rough[..., None], mask[..., None])
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
        self._scattered(canvas, 60)
        for _ in range(int(rng.integers(2, 5))):
            cx, cy = between(rng, -0.8, 0.8), between(rng, -0.8, 0.8)
            unit, a, b = (
                directions(rng, 1)[0],
                between(rng, 0.26, 0.5) * self.zoom,
                between(rng, 0.2, 0.36) * self.zoom,
            )
            dx, dy = self.x - cx, self.y - cy
            u, v = dx * unit[0] + dy * unit[1], dy * unit[0] - dx * unit[1]
            ring = ellipse(u, v, a, b) + 0.07 * smooth_noise(self.lattices[0], self.y, self.x, 4.0)
            paint(canvas, self.cell, cover(ring, pixel)[..., None])
            lumen = between(rng, 0.4, 0.75) * b
            paint(canvas, self.light, cover(ring + lumen, 2 * pixel)[..., None])
            places = self._keep(
                self._grid_places(6.5 * self.zoom), 1 - np.clip(np.abs(ring + 0.05) / 0.06, 0, 1), 0.3
            )
            centre = np.array([(cx + 1) / pixel, (cy + 1) / pixel])
            spokes = places - centre
            units: Field = spokes / np.maximum(np.sqrt(spokes[:, :1] ** 2 + spokes[:, 1:] ** 2), 1e-6)
            self._nuclei(canvas, places, units, size=4.4, slender=1.7, jitter=0.25)

    def _lace(self, canvas: Field) -> None:
        rng = self.rng
        seeds = 2.6 * rng.random((int(rng.integers(10, 18)), 2)) - 1.3
        warp = 0.12 * smooth_noise(self.lattices[0], self.y, self.x, 3.5)
        away = np.sort(
            np.sqrt(
                (self.x[..., None] + warp[..., None] - seeds[:, 0]) ** 2
                + (self.y[..., None] - seeds[:, 1]) ** 2
            ),
            axis=-1,
        )
        thick = between(rng, 0.05, 0.16) * self.zoom
        wall = cover(
            away[..., 1] - away[..., 0] - thick * (1.2 + smooth_noise(self.lattices[1], self.y, self.x, 3.0)),
            0.02,
        )
        paint(canvas, self.light, (1 - wall)[..., None])
        places = self._keep(self._grid_places(between(rng, 10, 14) * self.zoom), wall, 0.6)
        self._nuclei(canvas, places, directions(rng, len(places)), size=3.6, slender=1.8, jitter=0.3)
        cells = self._keep(self.size * rng.random((int(rng.integers(20, 90)), 2)), 1 - wall, 0.5)
        violet, self.nucleus = self.nucleus, np.array([205.0, 60.0, 90.0])  # red blood cells
        self._nuclei(canvas, cells, directions(rng, len(cells)), size=2.6, slender=1.1, jitter=0.1)
        self.nucleus = violet

    def _sheets(self, canvas: Field) -> None:
        rng, pixel = self.rng, 2 / self.size
        fibrous = between(rng, 0.1, 0.9)
        self._solid(
            canvas, np.clip(4 * (smooth_noise(self.lattices[1], self.y, self.x, 1.6) + fibrous), 0, 1)
        )
        self._scattered(canvas, 60)
        for kind in range(int(rng.integers(1, 4))):
            # Off the middle: pearls there look so alike that tiles would pass for copies of each other.
            (cx, cy), reach = directions(rng, 1)[0], between(rng, 0.5, 0.95)
            dx, dy = self.x - cx * reach, self.y - cy * reach
            warp = 0.06 * smooth_noise(self.lattices[0], self.y, self.x, 4.0)
            away = np.sqrt(dx * dx + dy * dy) + warp
            radius = between(rng, 0.14, 0.34) * self.zoom
            if kind == 2 and between(rng, 0, 1) < 0.5:  # a cleft, which may be taken for a lumen
                paint(canvas, self.light, cover(away - 0.7 * radius, pixel)[..., None])
                continue
            # Whorls: a triangle wave of the distance from the pearl's middle.
            wave = away / (0.07 * self.zoom)
            whorl = np.abs(wave - np.floor(wave) - 0.5) * 4 - 1
            pearl = np.array([232.0, 128.0, 172.0]) + 20 * whorl[..., None]
            paint(canvas, pearl, cover(away - radius, 2 * pixel)[..., None])
