"""The files of a small cell, as `evaluate` leaves them below the current folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from known import LABELS, ROOT

from lung_attention.files import write_json, write_table
from lung_attention.paths import Paths
from lung_attention.tracking import RunIdentity
from lung_attention.tracking.publish import publish_cell

PATHS = Paths("sample")
PARAMS = {"epochs": 3, "learning_rate": 0.0001}
METRICS = {
    "n_test": 10, "n_groups": 4, "unit": "patient", "seeds": [0],
    "accuracy": 0.8, "accuracy_low": 0.7, "accuracy_high": 0.9, "accuracy_seed_sd": 0.0,
    "auroc_ovr": None, "auroc_ovr_low": None, "auroc_ovr_high": None, "auroc_ovr_seed_sd": None,
    "per_class": {"malignant": {"sensitivity": 0.5, "specificity": 0.6, "ppv": 0.7, "f1": 0.8, "support": 3}},
    "confusion_matrix": {"classes": ["normal", "malignant"], "counts": [[3, 0], [1, 2]]},
    "calibration": {
        "slope": 0.5, "slope_low": 0.4, "slope_high": None, "class_share_log_loss": 0.7,
        "reliability": {
            "of": "normal",
            "bins": [{"low": 0.0, "high": 1.0, "predicted": 0.5, "observed": 0.6, "count": 10.0}],
        },
        "temperature": {"by_fold": [], "log_loss": 0.6, "log_loss_low": 0.5, "log_loss_high": 0.7},
    },
    "operating_points": {
        name: {
            "specificity": 0.9, "specificity_low": 0.8, "specificity_high": 1.0,
            "at_specificity": {
                "0.9": {"sensitivity": 0.4, "sensitivity_low": 0.2, "sensitivity_high": 0.6}
            },
            "at_prevalence": {},
            "net_benefit": {
                "thresholds": [0.25, 0.5], "model": [0.3, 0.2], "model_low": [0.2, 0.1],
                "model_high": [0.4, 0.3], "treat_all": [0.1, -0.4],
            },
        }
        for name in ("normal", "malignant")
    },
    "per_group": None,
}  # fmt: skip


def copy_configuration(folder: Path) -> None:
    """Puts what says the design and the datasets into a folder, where commands run."""
    shutil.copy(ROOT / "params.yaml", folder)
    shutil.copytree(ROOT / "datasets", folder / "datasets", dirs_exist_ok=True)


def curve(epochs: int, *, fold: int = 0, seed: int = 0) -> pd.DataFrame:
    """One fit's rows; the refit has no validation rows."""
    epoch = np.arange(1, epochs + 1)
    loss = 1 / (epoch + fold + 2 + seed)
    table = pd.DataFrame({"seed": seed, "fold": fold, "epoch": epoch, "loss": loss, "accuracy": 1 - loss})
    table["val_loss"] = np.nan if fold == -1 else loss * 1.1
    table["val_accuracy"] = np.nan if fold == -1 else 1 - loss * 1.1
    return table


def predictions(classes: Sequence[str], history: pd.DataFrame, mistakes: Sequence[int]) -> pd.DataFrame:
    """Two images of each class in each fold; all of a fold with mistakes are called by the first class."""
    fits = history[["seed", "fold"]].drop_duplicates()
    rows = []
    for seed, fold in fits[fits.fold >= 0].itertuples(index=False):
        for number, label in enumerate([*classes, *classes]):
            said = classes[0] if fold in mistakes else label
            shares = {f"probability_{name}": float(name == said) for name in classes}
            about = {"image": f"{fold}-{number}", "label": label, "group": "", "fold": fold, "seed": seed}
            rows.append(about | {"prediction": said} | shares)
    return pd.DataFrame(rows)


def publish(
    identity: RunIdentity,
    history: pd.DataFrame,
    *,
    mistakes: Sequence[int] = (),
    device: str = "cpu",
    **metrics,
) -> str:
    """Writes the files of a cell and publishes them.

    Args:
        identity: The cell and its inputs.
        history: Its learning curves.
        mistakes: Folds in which most images are mistaken.
        device: What it was trained on.
        metrics: What differs from `METRICS`.
    """
    cell = identity.cell
    classes = LABELS[cell.dataset]
    about = {"inputs": identity.inputs, "params": PARAMS, "device": device}
    write_table(PATHS.history(cell), history)
    write_table(PATHS.predictions(cell), predictions(classes, history, mistakes))
    write_json(PATHS.metrics(cell), METRICS | about | metrics)
    return publish_cell(cell, PATHS, root=Path.cwd())
