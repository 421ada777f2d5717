"""Whether maps lie on what is marked in an image: arrays in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from lung_attention.evaluation.intervals import multiplicities, percentile_interval

Floats = npt.NDArray[np.float64]

_CENTRE_WIDTH = 0.25  # standard deviation of the centre map, as a fraction of the side


@dataclass(frozen=True)
class Boxes:
    """What is marked, as fractions of the image that the network sees.

    Attributes:
        left: `(n,)`, and likewise `top`, `right` and `bottom`.
        top: The upper edges.
        right: The right edges.
        bottom: The lower edges.
    """

    left: Floats
    top: Floats
    right: Floats
    bottom: Floats

    @property
    def area(self) -> Floats:
        """Share of the image, `(n,)`."""
        return (self.right - self.left) * (self.bottom - self.top)

    def of(self, row: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of one image."""
        return (
            float(self.left[row]),
            float(self.top[row]),
            float(self.right[row]),
            float(self.bottom[row]),
        )

    @classmethod
    def around(cls, x: Floats, y: Floats, width: Floats, height: Floats) -> Boxes:
        """Boxes by centre and size; what lies outside of the image is cut off."""
        edges = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        return cls(*(np.clip(edge, 0.0, 1.0) for edge in edges))


def lift(maps: Floats, boxes: Boxes) -> Floats:
    """How many times denser a map is inside the box than over the image.

    The share of a map's sum inside the box over the box's share of the area; a cell of the map is taken as
    even, so nothing hangs on how a map is drawn larger. 1 is what a map has that knows nothing.

    Args:
        maps: `(n, rows, cols)`, 0 or more; a map that is 0 everywhere counts as even.
        boxes: One an image.

    Returns:
        `(n,)`.
    """
    n, rows, cols = maps.shape
    down = _overlap(boxes.top, boxes.bottom, rows)
    across = _overlap(boxes.left, boxes.right, cols)
    total = maps.sum(axis=(1, 2))
    flat = np.where(total[:, None, None] > 0, maps, 1.0)
    inside = np.einsum("nrc,nr,nc->n", flat, down, across) * rows * cols
    found: Floats = inside / flat.reshape(n, -1).sum(axis=1) / boxes.area
    return found


def hits(maps: Floats, boxes: Boxes) -> Floats:
    """Whether the map's largest cell touches the box, `(n,)`, 1 or 0; of equal cells their share.

    Args:
        maps: `(n, rows, cols)`.
        boxes: One an image.
    """
    _, rows, cols = maps.shape
    touched = (_overlap(boxes.top, boxes.bottom, rows) > 0)[:, :, None] & (
        _overlap(boxes.left, boxes.right, cols) > 0
    )[:, None, :]
    largest = maps == maps.max(axis=(1, 2), keepdims=True)
    found: Floats = (largest & touched).sum(axis=(1, 2)) / largest.sum(axis=(1, 2))
    return found


def _overlap(low: Floats, high: Floats, cells: int) -> Floats:
    """The length of each interval inside each of equal cells of 0..1, `(n, cells)`."""
    edges = np.linspace(0.0, 1.0, cells + 1)
    found: Floats = np.clip(
        np.minimum(high[:, None], edges[1:]) - np.maximum(low[:, None], edges[:-1]), 0, None
    )
    return found


def centre_map(rows: int, cols: int) -> Floats:
    """A bell over the middle of the image, `(rows, cols)`, for whom knows nothing but that."""
    y, x = ((np.arange(cells) + 0.5) / cells - 0.5 for cells in (rows, cols))
    found: Floats = np.exp(-(y[:, None] ** 2 + x[None, :] ** 2) / (2 * _CENTRE_WIDTH**2))
    return found


def moved_maps(maps: Floats, *, seed: int) -> Floats:
    """Each map with its cells in a random order: as peaked as it was, and nowhere in particular."""
    generator = np.random.default_rng(seed)
    flat = maps.reshape(len(maps), -1)
    return generator.permuted(flat, axis=1).reshape(maps.shape)


def mean_map(maps: Floats) -> Floats:
    """The same map for every image: the mean of all, `(n, rows, cols)`."""
    return np.broadcast_to((maps / maps.sum(axis=(1, 2), keepdims=True)).mean(axis=0), maps.shape)


def measure_location(
    of_maps: Mapping[str, tuple[Floats, Floats]],
    clusters: npt.NDArray[np.int64],
    *,
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """Means of lift and hits, and how far the attention's differ from those of other maps.

    Args:
        of_maps: By name of the map the lift and the hits of each image, `(n,)` each; `attention` is one.
        clusters: The number of the patient of each image.
        resamples: Of the bootstrap over patients, the same ones for all maps.
        confidence: Of the intervals.
        seed: Of the resamples.

    Returns:
        `images`, `clusters`; by map `lift` and `hits` with `_low` and `_high`, and, of all but the
        attention, `difference`: attention minus this map, with `difference_low` and `difference_high`, of the
        lift.
    """
    _, codes = np.unique(clusters, return_inverse=True)
    count = int(codes.max()) + 1
    drawn = np.concatenate(
        list(multiplicities(count, resamples=resamples, seed=seed)), axis=1
    )  # (clusters, resamples)
    sizes = np.bincount(codes) @ drawn

    def interval(values: Floats) -> tuple[float, float, float]:
        resampled = np.bincount(codes, weights=values) @ drawn / sizes
        point = float(values.mean())
        return point, *percentile_interval(resampled, point, confidence=confidence)

    ours = of_maps["attention"][0]
    maps: dict[str, dict[str, float]] = {}
    for name, (lifts, found) in of_maps.items():
        maps[name] = dict(zip(("lift", "lift_low", "lift_high"), interval(lifts), strict=True))
        maps[name] |= dict(zip(("hits", "hits_low", "hits_high"), interval(found), strict=True))
        if name != "attention":
            keys = ("difference", "difference_low", "difference_high")
            maps[name] |= dict(zip(keys, interval(ours - lifts), strict=True))
    return {"images": len(codes), "clusters": count, "maps": maps}


def likeness(first: Floats, second: Floats) -> float:
    """How alike two maps of the same images are: mean rank correlation over images, 1 for equal ones.

    Args:
        first: `(n, rows, cols)`.
        second: The same shape. A map that is even everywhere is like no other.
    """
    ranks = [rankdata(maps.reshape(len(maps), -1), axis=1) for maps in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    spread = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    found = (a * b).sum(axis=1) / np.where(spread > 0, spread, 1.0)
    return float(np.mean(found))


def evenness(maps: Floats) -> float:
    """Mean entropy of maps over that of an even one: 1 for even maps, 0 where one cell of several has all."""
    shares = maps.reshape(len(maps), -1)
    if shares.shape[1] == 1:  # of small images: it can only be even
        return 1.0
    shares = shares / shares.sum(axis=1, keepdims=True)
    terms = np.where(shares > 0, shares * np.log(np.maximum(shares, 1e-300)), 0.0)
    return float((-terms.sum(axis=1)).mean() / np.log(shares.shape[1]))
