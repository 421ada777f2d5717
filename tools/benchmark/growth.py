"""What one, two, four and eight times the images do to time and memory of each stage."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from lung_attention.config.reading import read_values
from lung_attention.paths import DATASETS

from .pictures import write_archive
from .store import Store
from .watch import Watched
from .workspace import ROOT, Workspace

TIMES = (1, 2, 4, 8)
_TILES, _SLICES, _BACKBONE = "lc25000", "slices", "mobilenetv2"
_LIKE = "iqoth"  # whose way to find groups the slices have

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Effort:
    """How much is run.

    Attributes:
        base: Images at one time.
        side_px: Of a picture.
        size_px: Side of the network's input; None for the dataset's.
        times: Multiples of `base`.
        turns: How often all sizes are measured in turn.
        epochs: Of the fit.
        copies: Of each original.
    """

    base: int
    side_px: int
    size_px: int | None
    times: Sequence[int]
    turns: int
    epochs: int
    copies: int


FULL = Effort(base=500, side_px=224, size_px=None, times=TIMES, turns=1, epochs=5, copies=20)
QUICK = Effort(base=90, side_px=64, size_px=32, times=(1,), turns=1, epochs=1, copies=3)


def measure_growth(store: Store, effort: Effort, folder: Path, model: Path) -> None:
    """Runs the stages on synthetic tiles.

    Args:
        store: Receives the figures, under `growth/`.
        effort: How much is run.
        folder: For temporary files.
        model: An exported model, for `predict`.
    """
    for turn in range(effort.turns):
        for times in effort.times:
            store.once(f"growth/{times}/{turn}", _measured, effort, effort.base * times, folder, model)


def _measured(effort: Effort, images: int, folder: Path, model: Path) -> dict[str, Any]:
    archives = folder / "archives"
    if not (archives / f"{_TILES}-{images}.zip").exists():
        write_archive(archives / f"{_TILES}-{images}.zip", images, effort.side_px, copies=effort.copies)
    sources = folder / f"sources-{images}"
    sources.mkdir(parents=True, exist_ok=True)
    for name in (_TILES, _SLICES):
        if not (sources / f"{name}.zip").exists():
            os.link(archives / f"{_TILES}-{images}.zip", sources / f"{name}.zip")
    work = Workspace(folder / f"work-{images}", archives=sources, weights=None)
    groups = read_values(ROOT / DATASETS / f"{_LIKE}.yaml")["groups"]
    work.add_dataset(_SLICES, _TILES, {"groups": groups, "other_groups": {}})
    sections: dict[str, Any] = {
        "train": {"recipe": {"epochs": effort.epochs, "jit_compile": effort is FULL}},
        "preprocess": {} if effort.size_px is None else {"image_size_px": effort.size_px},
    }
    found: dict[str, Watched] = {}
    work.set(_SLICES, [_BACKBONE], ["plain"], **sections)
    work.stage("code")
    work.stage("download", "--dataset", _SLICES)
    found["group, near duplicates"] = work.stage("group", "--dataset", _SLICES)
    work.set(_TILES, [_BACKBONE], ["plain"], **sections)
    work.begin_anew()
    given = ("--dataset", _TILES)
    found["download"] = work.stage("download", *given)
    found["group, source tiles"] = work.stage("group", *given)
    for split in ("published", "grouped"):
        found[f"split, {split}"] = work.stage("split", *given, "--split", split)
    work.stage("backbone", "--backbone", _BACKBONE)
    found["preprocess"] = work.stage("preprocess", *given, "--backbone", _BACKBONE, "--view", "whole")
    work.stage("settings")
    for name in ("train", "evaluate"):
        found[name] = work.cell(name, _TILES, _BACKBONE, "plain")
    found["predict"] = work.command("predict", model, sources / f"{_TILES}.zip", "--csv", "answers.csv")
    shutil.rmtree(work.folder, ignore_errors=True)
    return {"images": images, **{name: seen.as_json() for name, seen in found.items()}}


@dataclass(frozen=True)
class Growth:
    """How a stage's time grows.

    Attributes:
        start_s: What it takes without any image.
        exponent: Of the number of images, in what remains; None where eight times the images take less than
            half as long again, so that there is nothing to tell.
    """

    start_s: float
    exponent: float | None


def growth_of(images: Sequence[int], seconds: Sequence[float]) -> Growth:
    """Fits start + factor · images^exponent by least squares of the relative errors.

    Args:
        images: Numbers of images, three at least.
        seconds: What each took.
    """
    n, t = np.array(images, dtype=np.float64), np.array(seconds, dtype=np.float64)
    best: tuple[float, float, Floats] | None = None
    for exponent in np.arange(0.2, 2.51, 0.01):
        columns = np.stack([np.ones(len(n)), (n / n[-1]) ** exponent], axis=1)
        weights, rest = nnls(columns / t[:, np.newaxis], np.ones(len(t)))
        if best is None or rest < best[1]:
            best = float(exponent), float(rest), weights
    assert best is not None
    flat = t.max() < 1.5 * t.min()
    return Growth(float(best[2][0]), None if flat else best[0])
