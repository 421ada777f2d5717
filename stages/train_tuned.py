"""Fits a cell on the grouped split with the settings that a search found, each fold with its own."""

from __future__ import annotations

import argparse

from lung_attention.cells import Cell
from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import read_table
from lung_attention.paths import PARAMS, Paths
from lung_attention.training.cell_training import train_cell
from lung_attention.training.searched import fold_name, found_settings
from lung_attention.workflow.pipeline import code_of


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for factor in ("dataset", "backbone", "head"):
        parser.add_argument(f"--{factor}", required=True)
    default = Cell(**vars(parser.parse_args()), split="grouped")
    config = load_config(PARAMS)
    training, paths = config.active.train, Paths(config.profile)
    found = paths.search(default)
    split = paths.split(default.dataset, default.split)
    settings = found_settings(found, split)
    train_cell(
        default.tuned,
        paths,
        read_table(split),
        settings,
        params={
            f"{fold_name(fold)}.{name}": value
            for fold, of_fold in settings.items()
            for name, value in of_fold.as_json().items()
        },
        seeds=training.seeds[default.dataset].grouped,
        watch=False,  # a fold's test part is predicted once
        depends_on=[found, *code_of("train_tuned")],
    )


if __name__ == "__main__":
    run_guarded(main)
