"""Fits a cell in an open MLflow run: every seed and fold of its split, and the model that is kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from lung_attention.cells import Cell, cell_of_arguments
from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import inputs_digest, read_json, read_table, require_sha256
from lung_attention.images.view import View
from lung_attention.models.feature_file import load_features
from lung_attention.paths import PARAMS, Paths, code_digest, head_digest, recipe_digest
from lung_attention.tracking import connect, live_run
from lung_attention.tracking.cells import identity_of
from lung_attention.training.fits import Material, Source, fits_of
from lung_attention.training.fitting import device_name
from lung_attention.training.keep import keep_cell
from lung_attention.training.progress import EpochProgress, tell_all
from lung_attention.training.recipe import require_split, settings_from_json, settings_params
from lung_attention.training.recipes import RECIPES, fit_by


def main() -> None:
    """Runs the stage."""
    cell = cell_of_arguments(__doc__)
    paths = Paths(load_config(PARAMS).profile)
    split_path, settings_path = paths.split(cell.dataset, cell.split), paths.settings(cell)
    content = read_json(settings_path)
    settings, info = settings_from_json(content), content["features"]
    require_split(settings, split_path)
    table = read_table(split_path)
    views = {
        name: load_features(
            paths.features(cell.dataset, cell.backbone, name), of_view, table["image"].tolist()
        )
        for name, of_view in content.get("views", {info["name"]: info}).items()
    }
    code = [code_digest("train"), head_digest(cell.head), recipe_digest(cell.recipe)]
    weights = [paths.backbone(cell.backbone)] if RECIPES[cell.recipe].images else []
    inputs = inputs_digest([split_path, settings_path, *code, *weights], {"cell": cell.name})
    material = Material(
        views[info["name"]],
        table,
        content["classes"],
        settings,
        cell.head,
        content["seeds"],
        content["partitions"],
        source_of(cell, paths, content, inputs) if RECIPES[cell.recipe].images else None,
        views,
    )
    params = {**settings_params(settings), "seeds": material.seeds, **info["view"]}
    params["image_size_px"] = info["image_size_px"]
    epochs = {fold.number: settings.of(fold.number).epochs for fold in fits_of(table)}
    connect(Path.cwd())
    with (
        live_run(identity_of(cell, paths, inputs), params, device=device_name(), split=table) as run,
        EpochProgress(cell.name, epochs=epochs) as progress,
    ):
        fitted = fit_by(cell.recipe, material, tell_all(progress, run.epoch))
        keep_cell(fitted, cell, paths, info=info, record={"inputs": inputs, "params": params})
    shutil.rmtree(paths.checkpoints(cell), ignore_errors=True)


def source_of(cell: Cell, paths: Paths, content: dict[str, Any], inputs: str) -> Source:
    """Where images and backbone of a cell come from.

    Args:
        cell: The cell.
        paths: Where its files lie.
        content: Its settings, which name the archive by its hash.
        inputs: The hash of all that the training reads, of which its checkpoints are.

    Raises:
        UserError: The archive is another than the settings were written for.
    """
    archive, info = paths.archive(cell.dataset), content["features"]
    require_sha256(archive, content["archive_sha256"])
    return Source(
        archive,
        cell.backbone,
        paths.backbone(cell.backbone),
        View(**info["view"]),
        info["image_size_px"],
        paths.checkpoints(cell) / inputs[:16],
    )


if __name__ == "__main__":
    run_guarded(main)
