"""The results of a cell, read from its files as its run shows them."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lung_attention import files, plots
from lung_attention.cells import Cell
from lung_attention.config import load_config
from lung_attention.paths import PARAMS, Paths
from lung_attention.tracking.identity import Fit, RunIdentity
from lung_attention.tracking.model import model_hash
from lung_attention.tracking.registry import model_name
from lung_attention.tracking.runs import table_digest
from lung_attention.workflow.status import lock_entry

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CellResults:
    """The files of a cell whose training has ended.

    Attributes:
        cell: The cell.
        paths: The profile's files, relative to the current folder.
    """

    cell: Cell
    paths: Paths

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The content of `metrics.json`."""
        return dict(files.read_json(self.paths.metrics(self.cell)))

    @cached_property
    def history(self) -> pd.DataFrame:
        """The learning curves: seed, fold, epoch and a column a curve; a row an epoch of a fit."""
        return files.read_table(self.paths.history(self.cell), text=())

    @cached_property
    def split(self) -> pd.DataFrame | None:
        """The table of subsets, where it is at hand."""
        path = self.paths.split(self.cell.dataset, self.cell.split)
        return files.read_table(path) if path.exists() else None

    @property
    def identity(self) -> RunIdentity:
        """The identity of the training that left these files."""
        return RunIdentity(self.paths.experiment, self.cell, self.metrics["inputs"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""
        return load_config(PARAMS).dataset(self.cell.dataset).labels

    @property
    def model(self) -> Path | None:
        """The `.keras` file, where it is at hand."""
        path = self.paths.model(self.cell)
        return path if path.exists() else None

    @property
    def registered_name(self) -> str | None:
        """The name under which the model is registered; `None` for stand-ins, which are not worth one."""
        profile = load_config(PARAMS).profiles.get(self.paths.profile)
        if profile is None or profile.stand_ins:
            return None
        if profile.download.source == "embedded" or profile.backbone.source == "random":
            return None
        return model_name(self.paths.profile, self.cell.name)

    @cached_property
    def scores(self) -> dict[str, float]:
        """The test scores as they are named in every run; undefined ones are left out."""
        scores = _with_intervals(self.metrics, "test")
        for name, values in self.metrics.get("per_class", {}).items():
            scores |= {f"test_{name}_{key}": value for key, value in values.items()}
        calibration = self.metrics["calibration"]
        scores |= _with_intervals(calibration, "test_calibration")
        # Null where a split has one test part, and where each image is a group of its own.
        scores |= _with_intervals(calibration["temperature"] or {}, "test_temperature_scaled")
        scores |= _with_intervals(self.metrics["per_group"] or {}, "test_per_group")
        for name, values in self.metrics["operating_points"].items():
            for fixed, entry in values["at_specificity"].items():
                scores |= _with_intervals(entry, f"test_{name}_at_specificity_{fixed}")
        return {
            re.sub(r"[^\w\-. /]", "_", name): float(value)
            for name, value in scores.items()
            if isinstance(value, int | float) and not math.isnan(value)
        }

    @cached_property
    def fit_scores(self) -> dict[Fit, dict[str, float]]:
        """The scores of each fit on its own test part; an undefined one, as of an absent class, is left out.

        A fit of few images has no calibration error worth a number.
        """
        # Here, as scikit-learn takes longer to import than all else that a training logs.
        from lung_attention.evaluation.metrics import scores
        from lung_attention.evaluation.predictions import predictions_to_arrays

        table = files.read_table(self.paths.predictions(self.cell))
        arrays = predictions_to_arrays(table, self.classes)
        found: dict[Fit, dict[str, float]] = {}
        for seed, folds, probabilities in zip(arrays.seeds, arrays.folds, arrays.probabilities, strict=True):
            for fold in sorted(set(folds.tolist())):
                rows = folds == fold
                found[seed, fold] = {
                    f"test_{name}": value
                    for name, value in scores(arrays.labels[rows], probabilities[rows], bins=1).items()
                    if name != "ece" and not math.isnan(value)
                }
        return found

    @cached_property
    def facets(self) -> dict[str, str]:
        """Tags of a run that shows all of this. What is not at hand has none, and any run will do for it.

        `history` binds a run to the training that wrote the files; the others change when a result does.
        """
        # Plots are made of the files and of this code; drawing them to see if they changed takes seconds.
        sources = [*self._committed, *sorted(Path(plots.__file__).parent.glob("*.py"))]
        shown = json.dumps([[path.name, files.sha256(path)] for path in sources])
        facets = {
            "history": table_digest(self.history),
            "content": hashlib.sha256(shown.encode()).hexdigest(),
            "datasets": None if self.split is None else table_digest(self.split),
            "model": None if self.model is None else model_hash(self.model, self.classes),
            "dvc_lock": lock_entry(self.cell, self.paths),
        }
        return {name: value for name, value in facets.items() if value is not None}

    @property
    def _committed(self) -> list[Path]:
        return [self.paths.metrics(self.cell), self.paths.predictions(self.cell)]

    def write(self, folder: Path) -> None:
        """Writes what becomes the run's artifacts: plots, confusion matrix, copies of the files."""
        # Here, as Matplotlib and scikit-learn take longer to import than all else that a training logs.
        from lung_attention.plots.figures import cell_figures, metric_figures

        predictions = files.read_table(self.paths.predictions(self.cell))
        for name in ("plots", "results"):
            (folder / name).mkdir()
        figures = cell_figures(predictions, self.history, self.classes) | metric_figures(self.metrics)
        for name, figure in figures.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png", dpi=120)
            (folder / "plots" / f"{name}.png").write_bytes(buffer.getvalue())
        files.write_json(folder / "confusion_matrix.json", self.metrics["confusion_matrix"])
        for path in self._committed:
            (folder / "results" / path.name).write_bytes(path.read_bytes())


def _with_intervals(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The scores among some values: what has an interval, as sizes and settings have none."""
    return {
        f"{prefix}_{name}{suffix}": values.get(name + suffix)
        for name in values
        if f"{name}_low" in values
        for suffix in ("", "_low", "_high", "_seed_sd")
    }
