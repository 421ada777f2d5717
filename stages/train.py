"""Fits a cell: every seed and fold of its split, and the model that is kept."""

from __future__ import annotations

import argparse
from pathlib import Path

from lung_attention.cells import PARAMS, Cell, Paths
from lung_attention.config import load_config
from lung_attention.data.catalog import DATASETS
from lung_attention.errors import run_guarded
from lung_attention.features import load_features
from lung_attention.files import read_table
from lung_attention.fits import fit_cell
from lung_attention.pipeline import code_of, inputs_digest
from lung_attention.progress import EpochProgress, tell_all
from lung_attention.settings import Settings
from lung_attention.tracking import connect, live_run
from lung_attention.tracking.cells import identity_of
from lung_attention.trained_cell import write_trained_cell
from lung_attention.training import device_name


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for factor in ("dataset", "backbone", "head", "split"):
        parser.add_argument(f"--{factor}", required=True)
    cell = Cell(**vars(parser.parse_args()))
    config = load_config(PARAMS)
    training, paths = config.active.train, Paths(config.profile)
    split_path = paths.split(cell.dataset, cell.split)
    info_path = paths.features_info(cell.dataset, cell.backbone)
    table = read_table(split_path)
    features, info = load_features(
        paths.features(cell.dataset, cell.backbone), info_path, table["image"].tolist()
    )
    settings = Settings(training.recipe, training.learning_rate[cell.dataset][cell.backbone])
    seeds = training.seeds[cell.dataset].of(cell.split)
    params = {**settings.as_json(), "seeds": seeds, **info["resize"]}
    inputs = inputs_digest([split_path, info_path, *code_of("train")], {"cell": cell.name, **params})
    connect(Path.cwd())
    with (
        live_run(identity_of(cell, paths, inputs), params, device=device_name(), split=table) as run,
        EpochProgress(cell.name, epochs=settings.recipe.epochs) as progress,
    ):
        fitted = fit_cell(
            features,
            table,
            DATASETS[cell.dataset].classes,
            settings,
            attention=cell.head == "attention",
            seeds=seeds,
            on_epoch=tell_all(progress, run.epoch),
        )
        write_trained_cell(fitted, cell, paths, resize=info["resize"], inputs=inputs, params=params)


if __name__ == "__main__":
    run_guarded(main)
