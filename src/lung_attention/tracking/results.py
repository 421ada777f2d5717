"""The results of a cell, read from its files as its run shows them."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lung_attention import files, plots
from lung_attention.cells import Cell
from lung_attention.config import Config, load_config
from lung_attention.models.backbone_table import BACKBONES
from lung_attention.paths import PARAMS, Paths
from lung_attention.tracking.identity import Fit, RunIdentity
from lung_attention.tracking.model import ModelFile
from lung_attention.tracking.registry import model_name
from lung_attention.tracking.runs import table_digest
from lung_attention.workflow.status import lock_entry

if TYPE_CHECKING:
    import pandas as pd

_SCORES = ("accuracy", "balanced_accuracy", "auroc_ovr", "mcc", "macro_f1", "log_loss", "brier", "ece")
_WITH_INTERVALS = ("accuracy", "balanced_accuracy")
_OF_CLASSES = ("sensitivity", "ppv")


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
        return self._config.dataset(self.cell.dataset).labels

    @cached_property
    def _config(self) -> Config:
        return load_config(PARAMS)

    @cached_property
    def model(self) -> ModelFile | None:
        """The model, where its file is at hand."""
        path, dataset = self.paths.model(self.cell), self._config.dataset(self.cell.dataset)
        if not path.exists():
            return None
        window = dataset.window
        return ModelFile(
            path=path,
            name=self.cell.name,
            classes=dataset.labels,
            window=None if window is None else (window.level_hu, window.width_hu),
            tissue=dataset.groups.method == "source_tiles",
            description=self._description,
        )

    @property
    def _description(self) -> str:
        """What the model is, in the words of somebody who has never seen this project."""
        cell, profile = self.cell, self._config.profiles.get(self.paths.profile)
        dataset = self._config.dataset(cell.dataset)
        sentences = [
            f"{BACKBONES[cell.backbone].application} with the head {cell.head} by the recipe {cell.recipe}, "
            f"on {dataset.title}, {cell.split} split.",
            "An encoded image a row in, a probability a class out.",
            *(profile.stand_ins if profile is not None else ()),
            "Not a medical device, and not for diagnosis.",
        ]
        return " ".join(sentences)

    @cached_property
    def card(self) -> str | None:
        """The model card without its header, where there is one of just these results."""
        path = self.paths.card(self.cell)
        if not path.exists():
            return None
        _, header, text = path.read_text(encoding="utf-8").split("---\n", 2)
        (index,) = yaml.safe_load(header)["model-index"]
        said = {one["type"]: one["value"] for one in index["results"][0]["metrics"]}
        now = {name: round(self.metrics[name], 4) for name in said}
        # It is written after a cell's results, so that until then that of former ones may lie there.
        return text.strip() if self.metrics["inputs"] in text and said == now else None

    @property
    def registered_name(self) -> str | None:
        """The name under which the model is registered; `None` for stand-ins, which are not worth one."""
        profile = self._config.profiles.get(self.paths.profile)
        if profile is None or profile.stand_ins:
            return None
        if profile.download.source == "embedded" or profile.backbone.source == "random":
            return None
        return model_name(self.paths.profile, self.cell.name)

    @cached_property
    def scores(self) -> dict[str, float]:
        """The test scores as they are named in every run: few enough to be looked at, none undefined.

        The others stay in `metrics.json`, which is among the run's files.
        """
        values = self.metrics
        scores = {f"test_{name}": values.get(name) for name in _SCORES}
        several = len(values["seeds"]) > 1  # the spread over one is always 0
        for suffix in ("_low", "_high", "_seed_sd") if several else ("_low", "_high"):
            scores |= {f"test_{name}{suffix}": values.get(name + suffix) for name in _WITH_INTERVALS}
        scores["test_calibration_slope"] = values["calibration"]["slope"]
        for label, of in values["per_class"].items():
            scores |= {f"test_{label}_{name}": of[name] for name in _OF_CLASSES}
        return {
            re.sub(r"[^\w\-. /]", "_", name): float(value)
            for name, value in scores.items()
            if value is not None and not math.isnan(value)
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
            "model": None if self.model is None else self.model.digest,
            "card": None if self.card is None else hashlib.sha256(self.card.encode()).hexdigest(),
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
