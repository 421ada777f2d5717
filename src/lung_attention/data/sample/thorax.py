"""Synthetic thorax slices, as computed tomography might show them: an anatomy, cut at any height."""

from __future__ import annotations

from dataclasses import dataclass

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
    rod,
    smooth_noise,
    to_pixels,
)


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
        halo: How far haze fills the lung around it, 0..1.
    """

    x: float
    y: float
    radius: float
    grey: float
    spikes: Field
    reach: float
    lumps: float
    halo: float


def make_nodule(rng: np.random.Generator, x: float, y: float, *, malignant: bool, scale: float) -> Nodule:
    """Draws lots for a nodule at (x, y): malignant ones are larger, denser, lobed and spiculated on average.

    The two kinds overlap in size, so that size alone does not tell them apart.
    """
    if malignant:
        radius, spikes = between(rng, 0.09, 0.16), directions(rng, int(rng.integers(8, 14)))
        reach, halo = between(rng, 0.6, 1.1), between(rng, 0.2, 0.6)
        return Nodule(x, y, radius * scale, between(rng, 165, 205), spikes, reach, 0.3, halo)
    radius = between(rng, 0.05, 0.11)
    return Nodule(x, y, radius * scale, between(rng, 170, 240), np.zeros((0, 2)), 0.0, 0.05, 0.0)


class Thorax:
    """One synthetic patient: an anatomy that can be cut at any height and looked at through any window.

    World coordinates: the picture of a whole slice spans -1..1; heights run from -1 to 1.

    Args:
        rng: The patient's random numbers.
        disease: 0 for clear lungs, 1 for hazy ones.
    """

    def __init__(self, rng: np.random.Generator, *, disease: float) -> None:
        self.centre = (between(rng, -0.14, 0.14), between(rng, -0.2, 0.12))
        tilt = between(rng, -0.09, 0.09)
        self.turn = ((1 - tilt * tilt) / (1 + tilt * tilt), 2 * tilt / (1 + tilt * tilt))
        self.half = (between(rng, 0.62, 0.9), between(rng, 0.44, 0.66))
        self.fat = between(rng, 0.02, 0.1)
        self.greys = {
            "air": between(rng, 2, 45),
            "fat": between(rng, 95, 140),
            "muscle": between(rng, 140, 185),
            "lung": between(rng, 15, 45) + 75 * disease,
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
        self.lattices = (lattice_of(rng), lattice_of(rng))
        self.haze = between(rng, 4, 16)
        self.grain = between(rng, 1.5, 5)
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
        paint(canvas, 200.0, cover(np.abs(sheet) - 0.012, soft) * (np.abs(u) < a))
        bumps = 0.03 * smooth_noise(self.lattices[0], y + 0.1 * height, x, 3.0)
        body = ellipse(u, v, a, b) + bumps
        paint(canvas, greys["fat"], cover(body, soft))
        paint(canvas, greys["muscle"], cover(body + self.fat, soft))
        lungs = self._lungs(canvas, y, x, u / a, v / b, height, soft)
        for unit in self.ribs:
            at = (0.86 * a * unit[0], 0.84 * b * unit[1] + 0.05 * height)
            tangent = (-unit[1] * b, unit[0] * a)
            size = float(np.sqrt(tangent[0] * tangent[0] + tangent[1] * tangent[1]))
            du, dv = u - at[0], v - at[1]
            along = (du * tangent[0] + dv * tangent[1]) / size
            across = (dv * tangent[0] - du * tangent[1]) / size
            paint(canvas, greys["bone"], cover(ellipse(along, across, 0.085, 0.024), soft))
        self._spine(canvas, u / a, v / b, soft / b)
        for nodule in nodules:
            self._nodule(canvas, nodule, y, x, height, soft, lungs)
        # The sum of two uniform numbers: a triangle is near enough to a bell.
        canvas += self.grain * (rng.random(x.shape) + rng.random(x.shape) - 1) * 2
        return to_pixels(canvas)

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
                mask, cover(ellipse(u - left, v - low, wide * grown, tall * grown) + wave, blur)
            )
        hx, hy, wide, tall = self.heart
        swell = 1 + 0.12 * height
        heart = cover(ellipse(u - hx, v - hy, wide * swell, tall * swell) + 0.5 * wave, blur)
        mask = mask * (1 - heart)
        texture = greys["lung"] + self.haze * smooth_noise(self.lattices[1], y + 0.15 * height, x, 14.0)
        paint(canvas, texture, mask)
        for start, drift, unit, length, radius in self.vessels:
            at = (
                float(start[0] + drift[0] * height) * self.half[0],
                float(start[1] + drift[1] * height) * self.half[1],
            )
            covered = cover(rod(y, x, self._to_world(*at), unit, length, radius), soft)
            paint(canvas, greys["vessel"], covered * mask)
        paint(canvas, greys["heart"], heart)
        ax, ay, radius = self.aorta
        paint(canvas, greys["aorta"], cover(ellipse(u - ax, v - ay, radius, radius * 1.3), blur))
        # The windpipe and its two branches, which part further down.
        for side in (-1, 1):
            fork = 0.03 + 0.05 * (height + 1)
            pipe = ellipse(u - hx * 0.3 - side * fork, v - 0.12, 0.035, 0.06)
            paint(canvas, greys["air"], cover(pipe, blur))
        return mask

    def _spine(self, canvas: Field, u: Field, v: Field, blur: float) -> None:
        bone = self.greys["bone"]
        paint(canvas, bone - 25, cover(ellipse(u, v - 0.55, 0.11, 0.15), blur))
        paint(canvas, bone, cover(ellipse(u, v - 0.82, 0.03, 0.13), blur))
        paint(canvas, bone, cover(ellipse(u, v - 0.72, 0.2, 0.035), blur))
        paint(canvas, self.greys["muscle"], cover(ellipse(u, v - 0.74, 0.04, 0.05), blur))

    def _nodule(
        self, canvas: Field, nodule: Nodule, y: Field, x: Field, height: float, soft: float, lungs: Field
    ) -> None:
        cut = 1 - (height / 1.2) * (height / 1.2)
        if cut <= 0:
            return
        radius = nodule.radius * float(np.sqrt(cut))
        dx, dy = x - nodule.x, y - nodule.y
        lobes = nodule.lumps * radius * smooth_noise(self.lattices[1], y, x, 0.9 / nodule.radius)
        away = np.sqrt(dx * dx + dy * dy)
        if nodule.halo:
            haze = np.clip(1.5 - away / (3 * radius), 0, 1) * nodule.halo
            paint(canvas, 0.75 * nodule.grey, haze * lungs)
        mask = cover(away - radius + lobes, soft)
        for unit in nodule.spikes:
            spike = rod(y, x, (nodule.x, nodule.y), unit, radius * (1 + nodule.reach), 0.13 * radius)
            mask = np.maximum(mask, cover(spike, soft))
        # A little of it may stand in the chest wall, as nodules at the pleura do.
        paint(canvas, nodule.grey, mask * np.clip(lungs + 0.15, 0, 1))
