"""Audits a dataset for shortcuts, and its splits for leaks."""

from __future__ import annotations

import argparse

import numpy as np

from lung_attention.audit.dataset import audit
from lung_attention.audit.shortcuts import Files, find_shortcuts
from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import read_table, write_json
from lung_attention.images.decode import read_members
from lung_attention.images.encoding import encoding
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
    manifest, groups = read_table(paths.manifest(dataset.id)), read_table(paths.groups(dataset.id))["group"]
    thumbnails = np.load(paths.thumbnails(dataset.id), mmap_mode="r")
    contents = read_members(paths.archive(dataset.id), manifest["image"].tolist())
    files = Files(
        sizes=manifest[["width", "height"]].to_numpy(),
        encodings=np.array([encoding(content) for content in contents], dtype=object),
        thumbnails=thumbnails,
    )
    result = audit(
        manifest,
        thumbnails,
        groups,
        {split: read_table(paths.split(dataset.id, split)) for split in config.splits},
        near_duplicate_cosine=settings.near_duplicate_cosine,
        near_duplicates_leak=dataset.near_duplicates_leak,
        group_unit=dataset.unit,
        groups_inferred=dataset.groups_inferred,
        listed=settings.listed,
        shortcuts=find_shortcuts(files, manifest["label"], groups, settings.shortcuts),
    )
    write_json(paths.audit(dataset.id), result)


if __name__ == "__main__":
    run_guarded(main)
