"""Scores a cell's predictions, publishes its metrics, and completes its MLflow run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from lung_attention.cells import cell_of_arguments
from lung_attention.config import load_config
from lung_attention.config.stages import Evaluation
from lung_attention.errors import run_guarded
from lung_attention.evaluation.cell_metrics import cell_metrics, short_scores
from lung_attention.evaluation.predictions import complete_predictions, predictions_to_arrays
from lung_attention.files import read_json, read_table, write_json, write_table, write_text
from lung_attention.paths import PARAMS, Paths
from lung_attention.tracking.cells import try_publish_cell


def main() -> None:
    """Runs the stage."""
    cell = cell_of_arguments(__doc__)
    paths = Paths(load_config(PARAMS).profile)
    content = read_json(paths.evaluation_settings(cell.dataset))
    settings, classes = Evaluation(**content["evaluate"]), content["classes"]
    predictions = complete_predictions(
        read_table(paths.raw_predictions(cell)), read_table(paths.groups(cell.dataset)), classes
    )
    training = read_json(paths.training_info(cell))
    metrics = cell_metrics(
        predictions_to_arrays(predictions, classes),
        resamples=settings.resamples,
        confidence=settings.confidence,
        bins=settings.calibration_bins,
        specificities=settings.specificities,
        prevalences=settings.prevalences,
        seed=settings.seed,
    )
    about = {**asdict(cell), "unit": content["unit"], **training}
    write_table(paths.predictions(cell), predictions)
    write_table(paths.history(cell), read_table(paths.raw_history(cell), text=()))
    write_json(paths.metrics(cell), {**about, **metrics})
    # Not sorted by name: `dvc exp show` has its columns in the order of this file.
    write_text(paths.scores(cell), json.dumps(short_scores(metrics), indent=2, allow_nan=False) + "\n")
    try_publish_cell(cell, paths, root=Path.cwd())


if __name__ == "__main__":
    run_guarded(main)
