"""Audits a dataset and its splits for leaks."""

from __future__ import annotations

import argparse

import numpy as np

from lung_attention.audit.dataset import audit
from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import read_table, write_json
from lung_attention.paths import PARAMS, Paths


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    arguments = parser.parse_args()
    config = load_config(PARAMS)
    dataset = config.dataset(arguments.dataset)
    settings = config.active.audit
    paths = Paths(config.profile)
    result = audit(
        read_table(paths.manifest(dataset.id)),
        np.load(paths.thumbnails(dataset.id), mmap_mode="r"),
        read_table(paths.groups(dataset.id))["group"],
        {split: read_table(paths.split(dataset.id, split)) for split in config.splits},
        near_duplicate_cosine=settings.near_duplicate_cosine,
        near_duplicates_leak=dataset.near_duplicates_leak,
        group_unit=dataset.unit,
        listed=settings.listed,
    )
    write_json(paths.audit(dataset.id), result)


if __name__ == "__main__":
    run_guarded(main)
