"""Sensitivity of grouped scores to how groups are found and to how they are dealt out to folds.

Groups that nobody knows are inferred, and a partition is drawn: a score that hangs on either says less than
its interval. So the baselines that take seconds are measured for several ways to find the groups, and for
several partitions of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lung_attention.errors import UserError
from lung_attention.evaluation.baselines.run import run_baselines
from lung_attention.evaluation.baselines.settings import BaselineSettings
from lung_attention.evaluation.baselines.table import Baseline, Images
from lung_attention.evaluation.bounds import effective_size
from lung_attention.evaluation.metrics import scores
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.splits.grouped import grouped_split

SCORES = ("accuracy", "balanced_accuracy", "auroc_ovr", "log_loss")


def sensitivity(
    groupings: Mapping[str, pd.Series[str]],
    baselines: Mapping[str, Baseline],
    images: Images,
    classes: tuple[str, ...],
    settings: BaselineSettings,
    *,
    folds: int,
    seeds: Sequence[int],
    bins: int,
) -> dict[str, Any]:
    """Measures baselines on every grouping and partition.

    Args:
        groupings: By name the group of each image, rows as in the manifest.
        baselines: By name.
        images: What they may look at.
        classes: Class names in label order.
        settings: Of the baselines.
        folds: Of the cross-validation.
        seeds: Of the partitions.
        bins: Bins of the calibration error.

    Returns:
        JSON-ready: for each grouping `groups` (their number), `effective` (see
        `bounds.effective_size`), `problem` (why it allows no such folds, else null) and `scores`: for
        each baseline and each of `SCORES` a value a partition, null where undefined; empty with a problem.
    """
    found: dict[str, Any] = {}
    for name, groups in groupings.items():
        codes = pd.factorize(groups)[0]
        entry: dict[str, Any] = {
            "groups": int(codes.max()) + 1,
            "effective": effective_size(codes),
            "problem": None,
            "scores": {},
        }
        found[name] = entry
        try:
            partitions = [grouped_split(images.manifest, groups, folds=folds, seed=seed) for seed in seeds]
        except UserError as error:
            entry["problem"] = error.problem
            continue
        tables = [
            run_baselines(baselines, split, images, classes, settings).predictions for split in partitions
        ]
        for baseline in baselines:
            values = [_scores(table[table["baseline"] == baseline], classes, bins) for table in tables]
            entry["scores"][baseline] = {score: [of[score] for of in values] for score in SCORES}
    return found


def _scores(table: pd.DataFrame, classes: tuple[str, ...], bins: int) -> dict[str, float | None]:
    predictions = predictions_to_arrays(table, classes)
    found = scores(predictions.labels, predictions.probabilities[0], bins=bins)
    return {name: None if np.isnan(found[name]) else found[name] for name in SCORES}
