"""Three ways from an archive to test predictions: the published one, this project's, and the least possible.

They are measured in turn, on each plain cell of the published split; attention is compared with the least.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lung_attention.config import load_config
from lung_attention.files import read_table
from lung_attention.paths import PARAMS

from . import floor
from .machine import memory_speed
from .store import Store
from .watch import Watched, child, watch
from .workspace import Workspace

BACKBONES, HEADS = ("mobilenetv2", "densenet121"), ("plain", "attention")
BATCH_SIZE = 32
# Beyond so many bytes of float64 pixels the published way's memory is extrapolated.
_MOST_BYTES = 1.5e9


@dataclass(frozen=True)
class Effort:
    """How much is run.

    Attributes:
        datasets: The datasets, each with how often the three ways are measured in turn.
        whole: The cell that is also run in full, to check what is extrapolated.
        images: Of the published way: how many images for MobileNetV2 and for DenseNet121.
        epochs: Of the published way: the first one, which builds graphs, and those counted.
        our_epochs: Of a fit; the time of the second one on is counted for the rest.
        full_epochs: Of the recipe.
        batches: Of the bare forward pass.
    """

    datasets: Mapping[str, int]
    whole: tuple[str, str] | None
    images: Mapping[str, int]
    epochs: int
    our_epochs: int
    full_epochs: int
    batches: int


FULL = Effort(
    datasets={"iqoth": 1, "lidc_nodules": 2, "lc25000": 1},
    whole=("lidc_nodules", "mobilenetv2"),
    images={"mobilenetv2": 960, "densenet121": 480},
    epochs=3,
    our_epochs=6,
    full_epochs=100,
    batches=12,
)
QUICK = Effort(
    datasets={"lc25000": 1},
    whole=None,
    images={"mobilenetv2": 32},
    epochs=2,
    our_epochs=2,
    full_epochs=4,
    batches=2,
)


def measure_ways(
    store: Store, effort: Effort, folder: Path, *, archives: Path, weights: Path | None
) -> None:  # fmt: skip
    """Measures all cells, each way in turn.

    Args:
        store: Receives the figures, under `ways/`.
        effort: How much is run.
        folder: For temporary files.
        archives: Of the datasets.
        weights: Of the backbones; None for random ones.
    """
    store.once("ways/memory", _memory, 512 if effort.whole else 16)
    for dataset, turns in effort.datasets.items():
        work = Workspace(folder / dataset, archives=archives, weights=weights)
        for backbone in effort.images:
            cell = _OfBackbone(store, effort, work, dataset, backbone, weights)
            for turn in range(turns):
                cell.published(turn)
                cell.ours(turn)
                cell.least(turn)
            cell.memory()
            if (dataset, backbone) == effort.whole:
                cell.in_full()
        shutil.rmtree(work.folder, ignore_errors=True)


def _memory(mb: int) -> dict[str, float]:
    return {"bytes_a_second": memory_speed(mb=mb)}


class _OfBackbone:
    """The measurements of one dataset and backbone."""

    def __init__(
        self,
        store: Store,
        effort: Effort,
        work: Workspace,
        dataset: str,
        backbone: str,
        weights: Path | None,
    ) -> None:
        self._store, self._effort, self._work = store, effort, work
        self._dataset, self._backbone = dataset, backbone
        self._key = f"ways/{dataset}-{backbone}"
        self._weights = None if weights is None else weights / f"{backbone}_notop.weights.h5"
        self._ready = False
        self._train: dict[str, Any] = {"recipe": {"epochs": effort.our_epochs}}
        if effort is QUICK:
            self._train["recipe"]["jit_compile"] = False
        self._sections = {"preprocess": {"image_size_px": 32} if effort is QUICK else {}}

    def published(self, turn: int) -> None:
        """The published way on some images for some epochs."""
        images = self._effort.images[self._backbone]
        self._store.once(f"{self._key}/published/{turn}", self._published, images, self._effort.epochs, None)

    def memory(self) -> None:
        """The published way's memory, on all images where these fit, else on two parts of them."""
        count, size = self._facts()["images"], self._facts()["size_px"]
        fits = min(count, int(_MOST_BYTES / (size * size * 3 * 8)))
        for images in [count] if fits == count else [fits // 2, fits]:
            self._store.once(f"{self._key}/memory/{images}", self._published, images, 1, 2)

    def least(self, turn: int) -> None:
        """The bare forward pass."""

        def measure() -> dict[str, Any]:
            options: list[str | Path] = ["--backbone", self._backbone]
            options += ["--size-px", str(self._facts()["size_px"]), "--batch-size", str(BATCH_SIZE)]
            options += ["--batches", str(self._effort.batches)]
            options += [] if self._weights is None else ["--weights", self._weights]
            command, environment = child("floor", *options)
            return watch(command, cwd=Path.cwd(), environment=environment).said()

        self._store.once(f"{self._key}/floor/{turn}", measure)

    def ours(self, turn: int) -> None:
        """The stages, with few epochs."""
        self._store.once(f"{self._key}/ours/{turn}", self._ours, HEADS, self._effort.our_epochs)

    def in_full(self) -> None:
        """The stages with all epochs, plain head."""
        epochs = self._effort.full_epochs
        self._store.once(f"{self._key}/whole", self._ours, HEADS[:1], epochs)

    def _facts(self) -> dict[str, Any]:
        """What both ways have to know of the data; the archive and the split are made where they are not."""

        def find() -> dict[str, Any]:
            self._prepare()
            table = read_table(self._work.folder / self._work.paths.split(self._dataset, "published"))
            config = load_config(self._work.folder / PARAMS)
            size = config.active.view(config.dataset(self._dataset), "whole")[1]
            recipe = config.active.recipe(config.dataset(self._dataset), self._backbone)
            watched = table["subset"].isin(["validation"]).sum() or table["subset"].isin(["test"]).sum()
            return {
                "images": len(table),
                "train": int((table["subset"] == "train").sum()),
                "watched": int(watched),
                "test": int((table["subset"] == "test").sum()),
                "size_px": size,
                "classes": int(table["label"].nunique()),
                "learning_rate": recipe.learning_rate,
                "attention_maps": recipe.attention_maps,
                "epochs": self._effort.full_epochs,
            }

        return self._store.once(f"{self._key}/facts", find)

    def _prepare(self) -> None:
        """The stages that both ways stand on, or that the published way has no counterpart of."""
        if self._ready:
            return
        self._work.set(self._dataset, [self._backbone], HEADS, train=self._train, **self._sections)
        self._work.stage("code")
        if not (self._work.folder / self._work.paths.groups(self._dataset)).exists():
            self._work.stage("download", "--dataset", self._dataset)
            self._work.stage("group", "--dataset", self._dataset)
            self._work.stage("split", "--dataset", self._dataset, "--split", "published")
        self._ready = True

    def _published(self, images: int, epochs: int, steps: int | None) -> dict[str, Any]:
        facts = self._facts()
        self._prepare()
        paths, folder = self._work.paths, self._work.folder
        options: list[str | Path] = [
            "--archive", folder / paths.archive(self._dataset),
            "--split", folder / paths.split(self._dataset, "published"),
            "--backbone", self._backbone, "--size-px", str(facts["size_px"]),
            "--learning-rate", str(facts["learning_rate"]), "--batch-size", str(BATCH_SIZE),
            "--images", str(images), "--epochs", str(epochs),
        ]  # fmt: skip
        options += [] if self._weights is None else ["--weights", self._weights]
        options += [] if steps is None else ["--steps", str(steps)]
        command, environment = child("published_way", *options)
        seen = watch(command, cwd=Path.cwd(), environment=environment)
        return {"images_used": images, **seen.as_json(), **seen.said()}

    def _ours(self, heads: tuple[str, ...], epochs: int) -> dict[str, Any]:
        self._facts()
        self._prepare()
        train = {**self._train, "recipe": {**self._train["recipe"], "epochs": epochs}}
        self._work.set(self._dataset, [self._backbone], heads, train=train, **self._sections)
        self._work.begin_anew()
        dataset, backbone = ("--dataset", self._dataset), ("--backbone", self._backbone)
        stage = self._work.stage
        found: dict[str, Any] = {
            "download": stage("download", *dataset).as_json(),
            "split": stage("split", *dataset, "--split", "published").as_json(),
            "backbone": stage("backbone", *backbone).as_json(),
            "preprocess": stage("preprocess", *dataset, *backbone, "--view", "whole").as_json(),
            "settings": stage("settings").as_json(),
        }
        for head in heads:
            fit = self._work.cell("train", self._dataset, self._backbone, head)
            found[f"train {head}"] = {**fit.as_json(), "epochs": epochs, "s_an_epoch": _epoch(fit, epochs)}
            score = self._work.cell("evaluate", self._dataset, self._backbone, head)
            found[f"evaluate {head}"] = score.as_json()
        self._ready = False  # the settings in place are those of this run
        return found


def _epoch(fit: Watched, epochs: int) -> float:
    """Seconds of an epoch, without the first one, which compiles."""
    return (fit.at(f"epoch {epochs}/{epochs}") - fit.at(f"epoch 1/{epochs}")) / (epochs - 1)


def step_seconds(facts: Mapping[str, Any], backbone: str, head: str, bytes_a_second: float) -> float:
    """Seconds of a step of a fit at the speed of memory."""
    moved = floor.step_bytes(
        head, backbone, facts["size_px"], facts["classes"],
        batch_size=BATCH_SIZE, attention_maps=facts["attention_maps"],
    )  # fmt: skip
    return moved / bytes_a_second
