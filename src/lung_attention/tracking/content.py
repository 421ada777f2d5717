"""What the run of a complete cell shows, read from the cell's files."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lung_attention import files as project_files
from lung_attention import plots
from lung_attention.tracking.identity import Fit
from lung_attention.tracking.model import model_hash
from lung_attention.tracking.runs import param_text, table_digest

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Curves[fit][metric][epoch]
Curves = dict[Fit, dict[str, dict[int, float]]]


@dataclass(frozen=True)
class Content:
    """All that is known of a cell whose training has ended.

    Attributes:
        params: Parameters of the training, as given to `live_run`.
        history: seed, fold, epoch and a column a curve; a row an epoch of a fit.
        metrics: The content of `metrics.json`.
        fit_scores: Scores of each fit on its own test part, for cells of several fits; a refit has none.
        draw: Makes the plots by name (without suffix), logged as PNG below `plots/`. They are drawn from the
            history and `files`, and only when a run has to be filled.
        files: Files logged below `results/`.
        classes: Class names in the order of the model's outputs.
        model_path: The `.keras` file, or `None` where it is not at hand.
        device: What the training computed on, where known; a run of another device is not taken.
        split: The table of subsets (image, label, group, fold, subset), where at hand; logged as datasets.
        lock_entry: The hash of the training's entry in dvc.lock, where there is one.
        registered_name: The name under which the model is registered; `None` for stand-ins.
    """

    params: Mapping[str, object]
    history: pd.DataFrame
    metrics: Mapping[str, Any]
    draw: Callable[[], Mapping[str, Figure]]
    files: Sequence[Path]
    classes: Sequence[str]
    model_path: Path | None = None
    device: str | None = None
    split: pd.DataFrame | None = None
    lock_entry: str | None = None
    fit_scores: Mapping[Fit, Mapping[str, float]] = field(default_factory=dict)
    registered_name: str | None = None

    @cached_property
    def curves(self) -> Curves:
        """The history by fit, in the order of its rows, without what was not measured."""
        names = [name for name in self.history.columns if name not in ("seed", "fold", "epoch")]
        curves: Curves = {}
        for row in self.history.to_dict("records"):
            fit = curves.setdefault((int(row["seed"]), int(row["fold"])), {})
            for name in names:
                if not math.isnan(row[name]):
                    fit.setdefault(name, {})[int(row["epoch"])] = float(row[name])
        return curves

    @cached_property
    def scores(self) -> dict[str, float]:
        """The test scores as they are named in every run; undefined ones are left out."""
        # A score is what has an interval; sizes and settings have none.
        names = [name for name in self.metrics if f"{name}_low" in self.metrics]
        scores = {
            f"test_{name}{suffix}": self.metrics.get(name + suffix)
            for name in names
            for suffix in ("", "_low", "_high", "_seed_sd")
        }
        for name, values in self.metrics.get("per_class", {}).items():
            scores |= {f"test_{name}_{key}": value for key, value in values.items()}
        return {
            re.sub(r"[^\w\-. /]", "_", name): float(value)
            for name, value in scores.items()
            if isinstance(value, int | float) and not math.isnan(value)
        }

    @cached_property
    def texts(self) -> dict[str, str]:
        """The parameters as MLflow keeps them."""
        return {key: param_text(value) for key, value in self.params.items()}

    @cached_property
    def facets(self) -> dict[str, str]:
        """Tags of a run that shows all of this. What is not at hand has none, and any run will do for it."""
        facets = {
            "content": self._digest(),
            "datasets": None if self.split is None else table_digest(self.split),
            "model": None if self.model_path is None else model_hash(self.model_path, self.classes),
            "dvc_lock": self.lock_entry,
        }
        return {name: value for name, value in facets.items() if value is not None}

    def _digest(self) -> str:
        parts = [
            self.texts,
            [[fit, values] for fit, values in self.curves.items()],
            self.metrics,
            [[fit, dict(values)] for fit, values in self.fit_scores.items()],
            [[path.name, project_files.sha256(path)] for path in self.files],
            self.device,
            _code_of_plots(),
        ]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Writes what becomes the run's artifacts: plots, confusion matrix, copies of the files."""
        for name in ("plots", "results"):
            (folder / name).mkdir()
        for name, figure in self.draw().items():
            (folder / "plots" / f"{name}.png").write_bytes(_png(figure))
        matrix = self.metrics.get("confusion_matrix")
        if matrix is not None:
            project_files.write_json(folder / "confusion_matrix.json", matrix)
        for path in self.files:
            (folder / "results" / path.name).write_bytes(path.read_bytes())


def _code_of_plots() -> str:
    """The plots are made of the files and of this code; drawing them to see if they changed takes seconds."""
    sources = sorted(Path(plots.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
