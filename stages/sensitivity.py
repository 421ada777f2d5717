"""Measures how much scores hang on the way groups are found, and on the partition."""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np

from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.evaluation.baselines.table import BASELINES, Images, linear_probe
from lung_attention.evaluation.sensitivity import sensitivity
from lung_attention.files import read_json, read_table, write_json
from lung_attention.groups.infer import infer_groups
from lung_attention.models.feature_file import load_features
from lung_attention.paths import PARAMS, Paths

OWN = "own"
"""The name of the grouping that the dataset's splits are made by."""


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    config = load_config(PARAMS)
    dataset = config.dataset(parser.parse_args().dataset)
    profile, paths = config.active, Paths(config.profile)
    manifest = read_table(paths.manifest(dataset.id))
    thumbnails = np.load(paths.thumbnails(dataset.id), mmap_mode="r")
    features = {
        backbone: load_features(
            paths.features(dataset.id, backbone, info["name"]), info, manifest["image"].tolist()
        )
        for backbone, info in read_json(paths.baseline_settings(dataset.id))["features"].items()
    }
    groupings = {OWN: read_table(paths.groups(dataset.id))["group"]}
    groupings |= {name: infer_groups(manifest, thumbnails, how) for name, how in dataset.other_groups.items()}
    ours = profile.sensitivity
    found = sensitivity(
        groupings,
        {name: BASELINES[name] for name in ("border", "histogram_forest")}
        | {f"linear_probe_{backbone}": linear_probe(backbone) for backbone in features},
        Images(manifest, thumbnails, features),
        dataset.labels,
        # Settings are given: nothing is chosen, so that dozens of partitions take minutes.
        replace(profile.baseline, histogram_bins=[ours.histogram_bins], C=[ours.C]),
        folds=profile.split.folds,
        seeds=[profile.split.seed + number for number in range(ours.partitions)],
        bins=profile.evaluate.calibration_bins,
    )
    units = {OWN: dataset.unit, **{name: how.unit for name, how in dataset.other_groups.items()}}
    for name, entry in found.items():
        entry["unit"] = units[name]
    write_json(paths.sensitivity(dataset.id), {"folds": profile.split.folds, "groupings": found})


if __name__ == "__main__":
    run_guarded(main)
