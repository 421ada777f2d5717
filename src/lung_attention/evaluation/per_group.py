"""Scores per group, where several images show one patient or one piece of tissue: one decision a group."""

from __future__ import annotations

from typing import Any

import numpy as np

from lung_attention.evaluation.intervals import json_number, resampled_scores, score_intervals, seed_scores
from lung_attention.evaluation.predictions import Predictions

SCORES_PER_GROUP = ("accuracy", "balanced_accuracy", "auroc_ovr")

_BINS = 1  # calibration is not looked at


def group_predictions(predictions: Predictions) -> tuple[Predictions, int]:
    """Mean probabilities of the images of each cluster, of those clusters that have one label.

    Args:
        predictions: Of one cell.

    Returns:
        Predictions with a row a cluster and no groups, and how many clusters of two or more labels have none.
    """
    codes, n_clusters = predictions.clusters()
    sizes = np.bincount(codes, minlength=n_clusters)
    first = np.full(n_clusters, -1)
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    labels = predictions.labels[first]
    one = np.bincount(codes, weights=predictions.labels != labels[codes], minlength=n_clusters) == 0
    means = np.stack(
        [
            np.stack(
                [np.bincount(codes, weights=column, minlength=n_clusters) / sizes for column in p.T], axis=1
            )
            for p in predictions.probabilities
        ]
    )
    grouped = Predictions(
        classes=predictions.classes,
        images=predictions.images[first][one],
        groups=np.full(int(one.sum()), "", dtype=object),
        labels=labels[one],
        seeds=predictions.seeds,
        folds=predictions.folds[:, first[one]],
        probabilities=means[:, one],
    )
    return grouped, int(n_clusters - one.sum())


def scores_per_group(
    predictions: Predictions, *, resamples: int, confidence: float, seed: int
) -> dict[str, Any] | None:
    """Scores of the mean probabilities of each group.

    Args:
        predictions: Of one cell.
        resamples: Bootstrap resamples over groups.
        confidence: Of the intervals, such as 0.95.
        seed: Of the resampling.

    Returns:
        JSON-ready: `n_groups` that are scored, `n_two_labels` that are left out, as no single label is right,
        and accuracy, balanced_accuracy and auroc_ovr, each with `_low` and `_high`, None where undefined.
        None where each image is a group of its own, or no group has one label.
    """
    grouped, left_out = group_predictions(predictions)
    if predictions.clusters()[1] == len(predictions.images) or not len(grouped.images):
        return None
    per_seed = seed_scores(grouped, bins=_BINS)
    resampled = resampled_scores(grouped, resamples=resamples, seed=seed, bins=_BINS, rank=True)
    intervals, _ = score_intervals(grouped, per_seed, resampled, confidence=confidence)
    found: dict[str, Any] = {"n_groups": len(grouped.images), "n_two_labels": left_out}
    for name in SCORES_PER_GROUP:
        low, high = intervals[name]
        found[name] = json_number(float(per_seed[name].mean()))
        found[f"{name}_low"], found[f"{name}_high"] = json_number(low), json_number(high)
    return found
