"""Assigns the images of a dataset to subsets, by the published or the grouped protocol."""

from __future__ import annotations

import argparse

from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import read_table, write_table
from lung_attention.paths import PARAMS, Paths
from lung_attention.splits.grouped import grouped_split
from lung_attention.splits.published import published_split


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--split", required=True, choices=("published", "grouped"))
    arguments = parser.parse_args()
    config = load_config(PARAMS)
    settings = config.active.split
    paths = Paths(config.profile)
    manifest = read_table(paths.manifest(arguments.dataset))
    if arguments.split == "published":
        drawn = config.dataset(arguments.dataset).published_split
        table = published_split(manifest, drawn, seed=settings.seed)
    else:
        groups = read_table(paths.groups(arguments.dataset))["group"]
        table = grouped_split(manifest, groups, folds=settings.folds, seed=settings.seed)
    write_table(paths.split(arguments.dataset, arguments.split), table)


if __name__ == "__main__":
    run_guarded(main)
