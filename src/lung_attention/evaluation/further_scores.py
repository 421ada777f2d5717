"""Scores beyond the ten that all comparisons use: one line each, from scikit-learn or with its signature.

They are given with an interval in `metrics.json`, in MLflow and in the details of the report. The ten of
`metrics.scores` are computed for thousands of resamples at once; these are simply called for each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from lung_attention.evaluation.intervals import multiplicities, percentile_interval
from lung_attention.evaluation.predictions import Predictions

Score = Callable[[NDArray[np.int64], NDArray[np.float64]], float]

# From class numbers `(n,)` and probabilities `(n, classes)`, such as
# "top_2_accuracy": lambda y_true, y_score: top_k_accuracy_score(y_true, y_score, k=2),
FURTHER_SCORES: dict[str, Score] = {}


def further_scores(
    predictions: Predictions,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    table: Mapping[str, Score] = FURTHER_SCORES,
) -> dict[str, float | None]:
    """Further scores of one cell with their bootstrap intervals over clusters.

    Args:
        predictions: Of one cell.
        resamples: Number of resamples.
        confidence: Of the intervals, such as 0.95.
        seed: Of the resampling; equal seeds draw as those of the other scores.
        table: The scores by name.

    Returns:
        For each score `<score>`, `<score>_low`, `<score>_high` and `<score>_seed_sd`, as `evaluate` has them;
        None where undefined (a score that raises a ValueError, as where a class is absent).
    """
    found: dict[str, float | None] = {}
    if not table:
        return found
    codes, n_clusters = predictions.clusters()
    draws = [
        np.repeat(np.arange(len(codes)), column[codes].astype(np.int64))
        for weights in multiplicities(n_clusters, resamples=resamples, seed=seed)
        for column in weights.T
    ]
    for name, score in table.items():
        per_seed = np.array([_value(score, predictions.labels, p) for p in predictions.probabilities])
        resampled = np.array(
            [
                np.mean([_value(score, predictions.labels[rows], p[rows]) for p in predictions.probabilities])
                for rows in draws
            ]
        )
        low, high = percentile_interval(resampled, float(per_seed.mean()), confidence=confidence)
        deviation = float(per_seed.std(ddof=1)) if len(per_seed) > 1 else 0.0
        values = {"": float(per_seed.mean()), "_low": low, "_high": high, "_seed_sd": deviation}
        found |= {f"{name}{end}": None if math.isnan(value) else value for end, value in values.items()}
    return found


def _value(score: Score, labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    try:
        return float(score(labels, probabilities))
    except ValueError:
        return math.nan
