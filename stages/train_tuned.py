"""Fits a cell on the grouped split with the settings that a search found, each fold with its own."""

from __future__ import annotations

import argparse
from pathlib import Path

from lung_attention.cells import PARAMS, Cell, Paths
from lung_attention.config import load_config
from lung_attention.data.catalog import DATASETS
from lung_attention.errors import run_guarded
from lung_attention.features import load_features
from lung_attention.files import read_table
from lung_attention.pipeline import code_of, inputs_digest
from lung_attention.progress import EpochProgress, tell_all
from lung_attention.tracking import connect, live_run
from lung_attention.tracking.cells import identity_of
from lung_attention.trained_cell import write_trained_cell
from lung_attention.training import device_name
from lung_attention.tuned import fit_tuned, fold_name, found_settings


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for factor in ("dataset", "backbone", "head"):
        parser.add_argument(f"--{factor}", required=True)
    default = Cell(**vars(parser.parse_args()), split="grouped")
    cell = default.tuned
    config = load_config(PARAMS)
    settings, paths = config.active.train, Paths(config.profile)
    split_path, found_path = paths.split(cell.dataset, cell.split), paths.search(default)
    info_path = paths.features_info(cell.dataset, cell.backbone)
    table = read_table(split_path)
    features, info = load_features(
        paths.features(cell.dataset, cell.backbone), info_path, table["image"].tolist()
    )
    of_folds = found_settings(found_path, table)
    seeds = settings.seeds[cell.dataset].grouped
    params = {
        **{
            f"{fold_name(fold)}.{name}": value
            for fold, of_fold in of_folds.items()
            for name, value in of_fold.as_json().items()
        },
        "seeds": seeds,
        **info["resize"],
    }
    inputs = inputs_digest(
        [split_path, info_path, found_path, *code_of("train_tuned")], {"cell": cell.name, **params}
    )
    epochs = max(of_fold.recipe.epochs for of_fold in of_folds.values())
    connect(Path.cwd())
    with (
        live_run(identity_of(cell, paths, inputs), params, device=device_name(), split=table) as run,
        EpochProgress(cell.name, epochs=epochs) as progress,
    ):
        fitted = fit_tuned(
            features,
            table,
            DATASETS[cell.dataset].classes,
            of_folds,
            attention=default.head == "attention",
            seeds=seeds,
            on_epoch=tell_all(progress, run.epoch),
        )
        write_trained_cell(fitted, cell, paths, resize=info["resize"], inputs=inputs, params=params)


if __name__ == "__main__":
    run_guarded(main)
