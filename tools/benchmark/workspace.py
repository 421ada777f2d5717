"""A folder in which the stages run as in the checkout, on chosen datasets and settings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lung_attention.config.reading import merged, read_values
from lung_attention.data.sources.resolve import ARCHIVES_VARIABLE, WEIGHTS_VARIABLE
from lung_attention.paths import DATASETS, PARAMS, Paths

from .watch import Watched, python, watch

ROOT = Path(__file__).parents[2]
PROFILE = "local"
LUNG_ATTENTION = python("-c", "from lung_attention.cli import main; main()")
_NOWHERE: dict[str, list[str]] = {"datasets": [], "backbones": [], "heads": [], "splits": []}


class Workspace:
    """A temporary copy of the project with a profile of its own.

    Args:
        folder: An empty folder.
        archives: Where `<dataset>.zip` lie.
        weights: Where `<backbone>_notop.weights.h5` lie; None for random weights.

    Attributes:
        folder: The folder.
        paths: Of the profile's files, relative to it.
    """

    def __init__(self, folder: Path, *, archives: Path, weights: Path | None) -> None:
        self.folder, self.paths = folder, Paths(PROFILE)
        self._environment = {
            ARCHIVES_VARIABLE: str(archives.resolve()),
            "LUNG_ATTENTION_CHECKPOINTS": str(folder / "checkpoints"),
            "MLFLOW_TRACKING_URI": "",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **({} if weights is None else {WEIGHTS_VARIABLE: str(weights.resolve())}),
        }
        self._random = weights is None
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(ROOT / DATASETS, folder / DATASETS, dirs_exist_ok=True)
        for name in ("src", "stages"):
            with suppress(FileExistsError):
                (folder / name).symlink_to(ROOT / name)

    def add_dataset(self, name: str, like: str, changes: Mapping[str, Any]) -> None:
        """Describes a dataset by what it has in place of another one's."""
        values = merged(read_values(ROOT / DATASETS / f"{like}.yaml"), changes)
        self._write(DATASETS / f"{name}.yaml", {**values, **changes})

    def set(self, dataset: str, backbones: Sequence[str], heads: Sequence[str], **sections: Any) -> None:
        """Chooses what the stages run on: one dataset and the published split, a single fit a cell.

        Args:
            dataset: The dataset.
            backbones: The backbones.
            heads: The heads.
            **sections: Of the profile, in place of what it says.
        """
        values = read_values(ROOT / PARAMS)
        nowhere = dict.fromkeys(values["further"], _NOWHERE)
        design = {"datasets": [dataset], "further": nowhere, "explained": {**_NOWHERE, "recipes": []}}
        values |= {"profile": PROFILE, "backbones": list(backbones), "heads": list(heads)}
        values |= {"splits": ["published"], **design}
        own = {
            "download": {"source": "folder", "check_counts": False},
            "backbone": {"source": "random", "calibration_images": 64}
            if self._random
            else {"source": "folder"},
            "train": {"seeds": {"published": [0]}},
        }
        given = merged(merged(values["profiles"][PROFILE], own), sections)
        values["profiles"] = {PROFILE: {**given, **design, "stand_ins": ["A benchmark."]}}
        self._write(PARAMS, values)

    def stage(self, name: str, *options: str) -> Watched:
        """Runs a stage."""
        return watch(python(f"stages/{name}.py", *options), cwd=self.folder, environment=self._environment)

    def command(self, *arguments: str | Path) -> Watched:
        """Runs `lung-attention` with arguments."""
        return watch([*LUNG_ATTENTION, *arguments], cwd=self.folder, environment=self._environment)

    def begin_anew(self) -> None:
        """Forgets results and runs; the tracking database, which a checkout makes once, stays empty."""
        shutil.rmtree(self.folder / "results", ignore_errors=True)
        shutil.rmtree(self.folder / "mlartifacts", ignore_errors=True)
        empty = self.folder / "empty.db"
        if not empty.exists():
            make = "from pathlib import Path; from lung_attention.tracking.server import *; "
            make += "connect(Path.cwd()); check_reachable()"
            watch(python("-c", make), cwd=self.folder, environment=self._environment)
            (self.folder / "mlflow.db").rename(empty)
        shutil.copyfile(empty, self.folder / "mlflow.db")

    def cell(self, name: str, dataset: str, backbone: str, head: str) -> Watched:
        """Runs the stage `train` or `evaluate` of a cell."""
        return self.stage(
            name, "--dataset", dataset, "--backbone", backbone, "--head", head,
            "--recipe", "published", "--split", "published",
        )  # fmt: skip

    def _write(self, path: Path, values: Any) -> None:
        with (self.folder / path).open("w", encoding="utf-8") as stream:
            YAML(typ="safe").dump(values, stream)
