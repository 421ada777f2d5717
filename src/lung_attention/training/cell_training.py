"""The training of a cell: fits that can be watched, and what they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lung_attention.cells import Cell
from lung_attention.data.catalog import DATASETS
from lung_attention.files import replacing, write_json, write_table
from lung_attention.models.backbones import build_backbone
from lung_attention.models.classifier import Resize, build_classifier, build_preprocessing
from lung_attention.models.features import load_features
from lung_attention.models.saving import save_model
from lung_attention.paths import Paths
from lung_attention.tracking import connect, live_run
from lung_attention.tracking.cells import identity_of
from lung_attention.training.fits import FittedCell, fit_cell
from lung_attention.training.fitting import device_name
from lung_attention.training.progress import EpochProgress, tell_all
from lung_attention.training.settings import Settings
from lung_attention.workflow.pipeline import inputs_digest


def train_cell(
    cell: Cell,
    paths: Paths,
    table: pd.DataFrame,
    settings: Mapping[int, Settings],
    *,
    params: Mapping[str, Any],
    seeds: Sequence[int],
    watch: bool,
    depends_on: Sequence[Path],
) -> None:
    """Fits a cell in an open MLflow run, and writes its files.

    Args:
        cell: The cell.
        paths: Where its files lie.
        table: Its split table.
        settings: How a head is built and fitted, for each of `fits.fits_of`.
        params: The same in plain values, flat.
        seeds: One complete set of fits each.
        watch: Whether the learning curves show validation rows, too (`fit_cell`).
        depends_on: Files that determine the result, besides split and features.

    Raises:
        UserError: The features are of other images.
        TrackingUnavailableError: The tracking server does not answer, before anything was trained.
    """
    info_path = paths.features_info(cell.dataset, cell.backbone)
    features, info = load_features(
        paths.features(cell.dataset, cell.backbone), info_path, table["image"].tolist()
    )
    params = {**params, "seeds": list(seeds), **info["resize"]}
    files = [paths.split(cell.dataset, cell.split), info_path, *depends_on]
    inputs = inputs_digest(files, {"cell": cell.name, **params})
    epochs = {fold: of_fold.recipe.epochs for fold, of_fold in settings.items()}
    connect(Path.cwd())
    with (
        live_run(identity_of(cell, paths, inputs), params, device=device_name(), split=table) as run,
        EpochProgress(cell.name, epochs=epochs) as progress,
    ):
        fitted = fit_cell(
            features,
            table,
            DATASETS[cell.dataset].classes,
            settings,
            attention=cell.default.head == "attention",
            seeds=seeds,
            watch=watch,
            on_epoch=tell_all(progress, run.epoch),
        )
        _write(fitted, cell, paths, resize=info["resize"], inputs=inputs, params=params)


def _write(
    fitted: FittedCell,
    cell: Cell,
    paths: Paths,
    *,
    resize: Mapping[str, Any],
    inputs: str,
    params: Mapping[str, Any],
) -> None:
    """Writes model, predictions, learning curves, and a record of the training."""
    squeeze = Resize(**resize)
    backbone = build_backbone(cell.backbone, squeeze.image_size_px, weights=paths.backbone(cell.backbone))
    classifier = build_classifier(build_preprocessing(cell.backbone, squeeze), backbone, fitted.head)
    with replacing(paths.model(cell)) as temporary:
        save_model(classifier, temporary)
    write_table(paths.raw_predictions(cell), fitted.predictions)
    write_table(paths.raw_history(cell), fitted.history)
    record = {
        "inputs": inputs,
        "params": dict(params),
        "device": device_name(),
        "trainable_parameters": fitted.head.count_params(),
        "parameters": classifier.count_params(),
    }
    write_json(paths.training_info(cell), record)
