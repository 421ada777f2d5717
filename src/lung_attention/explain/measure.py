"""All that is measured of where a network looks, on images that are read a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from lung_attention.explain.location import (
    Boxes,
    centre_map,
    hits,
    lift,
    likeness,
    mean_map,
    measure_location,
    moved_maps,
)
from lung_attention.explain.maps import Looked, Maps, after_shuffling
from lung_attention.models.parts import Pixels

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Read = Callable[[Rows], Iterable[Pixels]]
"""Reads the images of rows."""

_CHUNK = 64


@dataclass(frozen=True)
class Seen:
    """Where a classifier looks in images, and where it would if its attention had never been fitted.

    Attributes:
        maps: Its maps.
        untrained: α `(n, rows, cols)` of each attention that was never fitted.
    """

    maps: Maps
    untrained: list[Floats]


def look(looked: Looked, read: Read, count: int, *, untrained: Sequence[int], what: str) -> Seen:
    """The maps of all images; each passes the backbone once, and memory holds one chunk of them at a time.

    Args:
        looked: The classifier.
        read: Reads images by their numbers, 0 to `count` - 1.
        count: How many there are.
        untrained: The seeds of attentions that were never fitted.
        what: The name of this work, for its progress.
    """
    found: list[Maps] = []
    fresh: list[list[Floats]] = [[] for _ in untrained]
    for start in tqdm(range(0, count, _CHUNK), desc=what, unit="chunk", mininterval=1):
        features = looked.features(looked.shown(read(np.arange(start, min(start + _CHUNK, count)))))
        found.append(looked.maps(features))
        for seed, parts in zip(untrained, fresh, strict=True):
            with looked.untrained(seed):
                parts.append(looked.attention_of(features))
    fields = ("probabilities", "attention", "gradcam")
    maps = Maps(*(np.concatenate([getattr(one, name) for one in found]) for name in fields))
    return Seen(maps, [np.concatenate(parts) for parts in fresh])


def likeness_after_shuffling(
    looked: Looked, images: Iterable[Pixels], *, draws: int, seed: int
) -> list[dict[str, Any]]:
    """How alike maps stay when the weights of ever more layers are shuffled.

    Returns:
        In the order of the shuffling `layer`, and of `attention` and `gradcam` the mean rank correlation with
        the map before.
    """
    shown = looked.shown(images)
    features = looked.features(shown)
    before = looked.maps(features)
    return [
        {
            "layer": name,
            "attention": float(np.mean([likeness(before.attention, one.attention) for one in after])),
            "gradcam": float(np.mean([likeness(before.gradcam, one.gradcam) for one in after])),
        }
        for name, after in after_shuffling(looked, shown, features, draws=draws, seed=seed)
    ]


def location(
    seen: Seen,
    boxes: Boxes,
    clusters: Rows,
    *,
    draws: int,
    seed: int,
    resamples: int,
    confidence: float,
    bootstrap_seed: int,
) -> dict[str, Any]:
    """Whether the attention lies on what is marked, more than maps that cannot know it.

    Args:
        seen: The maps of all images.
        boxes: What is marked in them.
        clusters: The number of the patient of each image.
        draws: Of maps with their cells in a random order.
        seed: Of these.
        resamples: See `measure_location`, like the rest.
        confidence: Likewise.
        bootstrap_seed: Likewise.

    Returns:
        What `measure_location` gives, with the mean `area` of the boxes.
    """
    found = seen.maps
    n, rows, cols = found.attention.shape
    compared: dict[str, list[Floats]] = {
        "attention": [found.attention],
        "gradcam": [found.gradcam],
        "untrained": seen.untrained,
        "moved": [moved_maps(found.attention, seed=seed + draw) for draw in range(draws)],
        "centre": [np.broadcast_to(centre_map(rows, cols), (n, rows, cols))],
        "mean": [mean_map(found.attention)],
    }

    def mean_of(measure: Callable[[Floats, Boxes], Floats], maps: list[Floats]) -> Floats:
        found: Floats = np.mean([measure(one, boxes) for one in maps], axis=0)
        return found

    return {
        "area": float(boxes.area.mean()),
        **measure_location(
            {name: (mean_of(lift, maps), mean_of(hits, maps)) for name, maps in compared.items()},
            clusters,
            resamples=resamples,
            confidence=confidence,
            seed=bootstrap_seed,
        ),
    }


def evenly(labels: Sequence[str], each: int) -> Rows:
    """At most so many rows of each class, evenly spaced, in ascending order."""
    names = np.asarray(labels)
    rows = [_spaced(np.flatnonzero(names == name), each) for name in np.unique(names)]
    return np.sort(np.concatenate(rows))


def pictured(right: npt.NDArray[np.bool_], labels: Sequence[str], each: int) -> Rows:
    """Rows to show of each class: half of them rightly classified and half wrongly, as far as there are."""
    names, chosen = np.asarray(labels), []
    for name in dict.fromkeys(labels):
        good, bad = (np.flatnonzero((names == name) & (right == kind)) for kind in (True, False))
        wrong = min(len(bad), each // 2)
        chosen += [_spaced(good, each - wrong), _spaced(bad, wrong)]
    return np.concatenate(chosen)


def _spaced(rows: Rows, count: int) -> Rows:
    count = min(count, len(rows))
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)] if count else rows[:0]
