"""How many images a second are predicted, with how much memory, and how long the first answer takes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from .machine import cores
from .pictures import write_archive, write_folder
from .store import Store
from .watch import Watched, child, watch
from .workspace import LUNG_ATTENTION, ROOT

ENGINES = {"TensorFlow": "keras", "ONNX Runtime": "onnx"}
HEAD = "attention"
# Whose first answer is timed, and the long run.
LIGHT = "mobilenetv2"


@dataclass(frozen=True)
class Effort:
    """How much is run.

    Attributes:
        images: On which each engine is measured, by backbone.
        size_px: Side of the networks' input there.
        turns: How often all engines are measured in turn.
        first: How often the first answer is timed.
        many: Images of the long run.
        many_px: Side of the network's input there.
        each: Files of a folder of the long run.
    """

    images: Mapping[str, int]
    size_px: int
    turns: int
    first: int
    many: int
    many_px: int
    each: int


FULL = Effort({"mobilenetv2": 400, "densenet121": 120}, 224, 2, 5, 100_000, 64, 10_000)
QUICK = Effort({"mobilenetv2": 8}, 32, 1, 1, 40, 32, 20)


def model_files(folder: Path, backbone: str, size_px: int) -> dict[str, Path]:
    """A classifier with attention as both engines take it, written where it is not there yet, by suffix."""
    files = {suffix: folder / f"{backbone}-{size_px}.{suffix}" for suffix in ENGINES.values()}
    if not all(file.exists() for file in files.values()):
        folder.mkdir(parents=True, exist_ok=True)
        command, environment = child(
            "models", "--keras-file", files["keras"], "--onnx-file", files["onnx"],
            "--backbone", backbone, "--head", HEAD, "--size-px", str(size_px),
        )  # fmt: skip
        watch(command, cwd=ROOT, environment=environment)
    return files


def measure_prediction(store: Store, effort: Effort, folder: Path) -> None:
    """Measures both engines, on one processor and on all; the first answer; and a hundred thousand images.

    Args:
        store: Receives the figures, under `prediction/`.
        effort: How much is run.
        folder: For temporary files.
    """
    archive = folder / "images.zip"
    write_archive(archive, max(effort.images.values()), 224, copies=1)
    write_archive(folder / "few.zip", 2, 224, copies=1)
    for turn in range(effort.turns):
        for (backbone, images), (engine, suffix), used in product(
            effort.images.items(), ENGINES.items(), sorted({1, cores()})
        ):
            model = partial(_model, folder, backbone, effort.size_px, suffix)
            key = f"prediction/speed/{backbone}/{engine}/{used}/{turn}"
            store.once(key, _speed, model, archive, images, used)
    for turn, (engine, suffix) in product(range(effort.first), ENGINES.items()):
        model = partial(_model, folder, LIGHT, effort.size_px, suffix)
        store.once(f"prediction/first/{engine}/{turn}", _first, model, folder / "few.zip")
    many = partial(_model, folder, LIGHT, effort.many_px, ENGINES["ONNX Runtime"])
    store.once("prediction/many", _many, effort, folder, many)


def _model(folder: Path, backbone: str, size_px: int, suffix: str) -> Path:
    return model_files(folder, backbone, size_px)[suffix]


def _speed(model: Callable[[], Path], archive: Path, images: int, used: int) -> dict[str, Any]:
    command, environment = child("answers", model(), archive, str(images))
    seen = watch(command, cwd=ROOT, environment=environment, cores=used)
    return {**seen.as_json(), **seen.said()}


def _first(model: Callable[[], Path], archive: Path) -> dict[str, float]:
    """Seconds from a command to its first answer: of `lung-attention predict`, or of a script with Keras."""
    if (path := model()).suffix == ".onnx":
        seen = watch([*LUNG_ATTENTION, "predict", path, archive], cwd=ROOT)
        return {"s": seen.lines[1][0]}  # below the heading
    command, environment = child("answers", path, archive, "2")
    return {"s": watch(command, cwd=ROOT, environment=environment).at("first answer")}


def _many(effort: Effort, folder: Path, model: Callable[[], Path]) -> dict[str, Any]:
    images = folder / "many"
    shutil.rmtree(images, ignore_errors=True)
    write_folder(images, effort.many, 96, distinct=1000, each=effort.each)
    command = [*LUNG_ATTENTION, "predict", model(), images, "--csv", folder / "many.csv"]
    seen = watch(command, cwd=ROOT, keep_lines=False)
    rows = sum(1 for _ in (folder / "many.csv").open(encoding="utf-8")) - 1
    shutil.rmtree(images, ignore_errors=True)
    return {**seen.as_json(), "images": rows, "own_mb_at": _memory_at(seen)}


def _memory_at(seen: Watched) -> dict[str, float]:
    """Memory without mapped files at parts of a run, by percent: the mean of the looks around each."""
    found = {}
    for percent in (10, 25, 50, 75, 95):
        near = [one.own_mb for one in seen.samples if abs(100 * one.at / seen.wall_s - percent) < 2.5]
        if near:
            found[str(percent)] = round(sum(near) / len(near), 1)
    return found
