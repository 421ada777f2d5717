"""Scores a cell's predictions, publishes its metrics, and completes its MLflow run."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from lung_attention.cells import cell_of_arguments
from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.evaluation.cell_metrics import cell_metrics, short_scores
from lung_attention.evaluation.predictions import complete_predictions, predictions_to_arrays
from lung_attention.files import read_json, read_table, write_json, write_table
from lung_attention.paths import PARAMS, Paths
from lung_attention.tracking.cells import try_publish_cell


def main() -> None:
    """Runs the stage."""
    cell = cell_of_arguments(__doc__)
    config = load_config(PARAMS)
    settings, paths = config.active.evaluate, Paths(config.profile)
    dataset = config.dataset(cell.dataset)
    predictions = complete_predictions(
        read_table(paths.raw_predictions(cell)), read_table(paths.groups(cell.dataset)), dataset.labels
    )
    training = read_json(paths.training_info(cell))
    metrics = cell_metrics(
        predictions_to_arrays(predictions, dataset.labels),
        resamples=settings.resamples,
        confidence=settings.confidence,
        bins=settings.calibration_bins,
        specificities=settings.specificities,
        prevalences=settings.prevalences,
        seed=settings.seed,
    )
    about = {**asdict(cell), "unit": dataset.unit, **training}
    write_table(paths.predictions(cell), predictions)
    write_table(paths.history(cell), read_table(paths.raw_history(cell), text=()))
    write_json(paths.metrics(cell), {**about, **metrics})
    write_json(paths.scores(cell), short_scores(metrics))
    try_publish_cell(cell, paths, root=Path.cwd())


if __name__ == "__main__":
    run_guarded(main)
