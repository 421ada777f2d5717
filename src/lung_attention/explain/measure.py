"""All that is measured of where a network looks, on images that are read a chunk at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import keras
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
from lung_attention.explain.maps import BACKBONE, Looked, Maps, noisy, shuffled
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


@dataclass(frozen=True)
class Noise:
    """Copies of images with noise, over whose maps is averaged.

    Attributes:
        copies: Of each image.
        strength: Standard deviation as a share of the range of an image's values.
    """

    copies: int
    strength: float


def likeness_after_shuffling(
    looked: Looked, shown: npt.NDArray[np.float32], *, draws: int, noise: Noise, seed: int
) -> list[dict[str, Any]]:
    """How alike maps stay when the weights of ever more layers are shuffled, single ones and averaged ones.

    Maps that are averaged over noisy copies of an image are those of the smoothed test (Hedström et al., "A
    fresh look at sanity checks for saliency maps", xAI 2024): noise of the maps themselves, which makes any
    two maps less alike, is taken out before they are compared. Grad-CAM stays that of the class that the
    classifier predicts before.

    Args:
        looked: The classifier.
        shown: What its backbone is given.
        draws: How often each step is drawn.
        noise: Of the smoothed test.
        seed: Of all that is drawn.

    Returns:
        In the order of the shuffling `layer`, and of `attention` and `gradcam` the mean rank correlation with
        the map before, and, as `attention_smoothed` and `gradcam_smoothed`, that of averaged maps.
    """

    def passed() -> Iterator[npt.NDArray[np.float32]]:
        yield looked.features(shown)
        yield from map(looked.features, noisy(shown, copies=noise.copies, strength=noise.strength, seed=seed))

    features = [one.astype(np.float16) for one in passed()]  # as fits read them
    classes = looked.maps(features[0]).probabilities.argmax(axis=1)

    def kinds(given: Iterable[npt.NDArray[np.floating]]) -> dict[str, Floats]:
        clean, *copies = (looked.maps(one, classes) for one in given)
        return {
            "attention": clean.attention,
            "gradcam": clean.gradcam,
            "attention_smoothed": np.mean([one.attention for one in copies], axis=0),
            "gradcam_smoothed": np.mean([one.gradcam for one in copies], axis=0),
        }

    before = kinds(features)
    found: dict[str, dict[str, list[float]]] = {}
    for layer in shuffled(looked, draws=draws, seed=seed):
        after = kinds(passed() if layer == BACKBONE else features)
        for name, maps in after.items():
            found.setdefault(layer, {}).setdefault(name, []).append(likeness(before[name], maps))
    return [
        {"layer": layer, **{name: float(np.mean(values)) for name, values in of.items()}}
        for layer, of in found.items()
    ]


def likeness_of_refits(
    looked: Looked, shown: npt.NDArray[np.float32], heads: Sequence[keras.Model], *, seed: int
) -> dict[str, float]:
    """How alike the maps of fits are that differ in nothing but their seed.

    Args:
        looked: The classifier that is kept.
        shown: What its backbone is given.
        heads: Those of other fits of the same cell.
        seed: Of attentions that were never fitted, as many as there are fits.

    Returns:
        The mean rank correlation over images and all pairs of fits of `attention` and, of the class that the
        kept classifier predicts, `gradcam`; of `untrained`, how alike attentions are that were never fitted.
    """
    features = looked.features(shown)
    maps = [looked.maps(features)]
    classes = maps[0].probabilities.argmax(axis=1)
    for head in heads:
        with looked.refitted(head):
            maps.append(looked.maps(features, classes))
    fresh = []
    for number in range(len(maps)):
        with looked.untrained(seed + number):
            fresh.append(looked.attention_of(features))
    return {
        "attention": _mutual([one.attention for one in maps]),
        "gradcam": _mutual([one.gradcam for one in maps]),
        "untrained": _mutual(fresh),
    }


def _mutual(maps: Sequence[Floats]) -> float:
    return float(np.mean([likeness(one, other) for one, other in combinations(maps, 2)]))


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
