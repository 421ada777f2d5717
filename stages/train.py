"""Fits a cell: every seed and fold of its split, and the model that is kept."""

from __future__ import annotations

import argparse

from lung_attention.cells import Cell
from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import read_table
from lung_attention.paths import PARAMS, Paths
from lung_attention.training.cell_training import train_cell
from lung_attention.training.fits import fits_of
from lung_attention.training.settings import Settings
from lung_attention.workflow.pipeline import code_of


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for factor in ("dataset", "backbone", "head", "split"):
        parser.add_argument(f"--{factor}", required=True)
    cell = Cell(**vars(parser.parse_args()))
    config = load_config(PARAMS)
    training, paths = config.active.train, Paths(config.profile)
    table = read_table(paths.split(cell.dataset, cell.split))
    settings = Settings(training.recipe, training.learning_rate[cell.dataset][cell.backbone])
    train_cell(
        cell,
        paths,
        table,
        {fold.number: settings for fold in fits_of(table)},
        params=settings.as_json(),
        seeds=training.seeds[cell.dataset].of(cell.split),
        watch=True,
        depends_on=code_of("train"),
    )


if __name__ == "__main__":
    run_guarded(main)
