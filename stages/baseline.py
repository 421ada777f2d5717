"""Measures the baselines on a split, as the networks are measured."""

from __future__ import annotations

import argparse

import numpy as np

from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.evaluation.baselines.run import run_baselines
from lung_attention.evaluation.baselines.table import Images, baselines_of
from lung_attention.evaluation.intervals import evaluate
from lung_attention.evaluation.predictions import with_groups
from lung_attention.files import read_json, read_table, write_json, write_table
from lung_attention.models.feature_file import load_features
from lung_attention.paths import PARAMS, Paths


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--split", required=True)
    arguments = parser.parse_args()
    config = load_config(PARAMS)
    dataset, split = config.dataset(arguments.dataset), arguments.split
    evaluation, paths = config.active.evaluate, Paths(config.profile)
    manifest = read_table(paths.manifest(dataset.id))
    features = {
        backbone: load_features(
            paths.features(dataset.id, backbone, info["name"]), info, manifest["image"].tolist()
        )
        for backbone, info in read_json(paths.baseline_settings(dataset.id))["features"].items()
    }
    baselines = baselines_of(list(features), dataset.covariates, frame_is_empty=dataset.frame_is_empty)
    found = run_baselines(
        baselines,
        read_table(paths.split(dataset.id, split)),
        Images(manifest, np.load(paths.thumbnails(dataset.id), mmap_mode="r"), features),
        dataset.labels,
        config.active.baseline,
    )
    predictions = with_groups(found.predictions, read_table(paths.groups(dataset.id)))
    scores = {
        name: {
            "title": baselines[name].title,
            "blind": baselines[name].blind,
            "chosen": found.chosen[name],
            **evaluate(
                table,
                dataset.labels,
                resamples=evaluation.resamples,
                confidence=evaluation.confidence,
                bins=evaluation.calibration_bins,
                seed=evaluation.seed,
            ),
        }
        for name in baselines
        for table in [predictions[predictions["baseline"] == name]]
    }
    write_table(paths.baseline_predictions(dataset.id, split), predictions)
    write_json(paths.baselines(dataset.id, split), scores)


if __name__ == "__main__":
    run_guarded(main)
