"""From what was measured to what is compared: whole runs of each way, by cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from .ways import BATCH_SIZE, step_seconds

Figures = Mapping[str, Any]

_SHARED = ("download", "split", "backbone", "preprocess", "settings")


def below(measured: Figures, prefix: str) -> dict[str, Any]:
    """The figures whose names begin with a prefix, by the rest of their names."""
    return {key.removeprefix(prefix): one for key, one in measured.items() if key.startswith(prefix)}


def by_first(measured: Figures, prefix: str) -> dict[str, list[Any]]:
    """The figures whose names begin with a prefix, turn by turn, by the next part of their names."""
    found: dict[str, list[Any]] = {}
    for key, one in below(measured, prefix).items():
        found.setdefault(key.split("/")[0], []).append(one)
    return found


@dataclass(frozen=True)
class Way:
    """One way on one cell.

    Attributes:
        seconds: Of each turn, from the archive to scores.
        mb: Most resident memory.
        parts: Seconds by what they were spent on, the median over turns.
    """

    seconds: Sequence[float]
    mb: float
    parts: Mapping[str, float]


def published(measured: Figures, key: str) -> Way:
    """The published way: what was measured on some images for some epochs, for all of them.

    Loading, epochs and test grow with the images; building the network and its graphs does not.

    Args:
        measured: All figures.
        key: Of dataset and backbone.
    """
    facts = measured[f"ways/{key}/facts"]
    turns = []
    for one in below(measured, f"ways/{key}/published/").values():
        scale = facts["images"] / one["images_used"]
        epoch = median(one["epochs"][1:])
        turns.append(
            {
                "start": one["wall_s"] - one["load"] - sum(one["epochs"]) - one["test"],
                "graphs": max(0.0, one["epochs"][0] - epoch),
                "load": one["load"] * scale,
                "fit": facts["epochs"] * epoch * scale,
                "test": one["test"] * scale,
            }
        )
    sizes = {one["images_used"]: one["rss_mb"] for one in below(measured, f"ways/{key}/memory/").values()}
    return Way([sum(turn.values()) for turn in turns], _at(sizes, facts["images"]), _medians(turns))


def _at(sizes: Mapping[int, float], images: int) -> float:
    """Memory at a number of images: measured, or on the line through two smaller numbers."""
    if images in sizes:
        return sizes[images]
    (few, low), (more, high) = sorted(sizes.items())
    return low + (high - low) / (more - few) * (images - few)


def ours(measured: Figures, key: str, head: str, *, scored: bool) -> Way:
    """The stages: what was measured for some epochs, for all of them.

    Args:
        measured: All figures.
        key: Of dataset and backbone.
        head: The head.
        scored: Whether scores with their intervals count, or predictions are the end.
    """
    epochs = measured[f"ways/{key}/facts"]["epochs"]
    found = list(below(measured, f"ways/{key}/ours/").values())
    turns = [_parts(one, head, epochs, scored=scored) for one in found]
    used = [*_SHARED, f"train {head}", *([f"evaluate {head}"] if scored else [])]
    mb = max(one[stage]["rss_mb"] for one in found for stage in used)
    return Way([sum(turn.values()) for turn in turns], mb, _medians(turns))


def whole(measured: Figures, key: str) -> float | None:
    """Seconds of the one run with all epochs, plain head; None where there was none."""
    found = measured.get(f"ways/{key}/whole")
    epochs = measured[f"ways/{key}/facts"]["epochs"]
    return None if found is None else sum(_parts(found, "plain", epochs, scored=True).values())


def _parts(one: Figures, head: str, epochs: int, *, scored: bool) -> dict[str, float]:
    parts = {stage: float(one[stage]["wall_s"]) for stage in _SHARED}
    fit = one[f"train {head}"]
    parts["train"] = fit["wall_s"] + (epochs - fit["epochs"]) * fit["s_an_epoch"]
    if scored:
        parts["evaluate"] = one[f"evaluate {head}"]["wall_s"]
    return parts


def least(measured: Figures, key: str, head: str) -> Way:
    """The floor: each image once through the bare backbone, each step of the fit at the speed of memory."""
    facts, backbone = measured[f"ways/{key}/facts"], key.rsplit("-", 1)[-1]
    steps = facts["epochs"] * math.ceil(facts["train"] / BATCH_SIZE)
    fit = steps * step_seconds(facts, backbone, head, measured["ways/memory"]["bytes_a_second"])
    passes = [facts["images"] * one["s_an_image"] for one in below(measured, f"ways/{key}/floor/").values()]
    return Way([one + fit for one in passes], 0.0, {"backbone": median(passes), "fit": fit})


def ratio(first: Sequence[float], second: Sequence[float]) -> float:
    """How many times the second fits into the first: the median over turns."""
    return median(one / other for one, other in zip(first, second, strict=True))


def _medians(turns: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(turn[name] for turn in turns) for name in turns[0]}
