"""Confidence intervals by a bootstrap over clusters, and the content of a cell's `metrics.json`.

The cluster is the group of an image (patient, pseudo-group, source tile) wherever one is known, else the
image: images of one patient are no independent evidence, and intervals that take them for it are too short.
A score is the mean over seeds. A resample draws clusters with replacement; a drawn cluster brings all its
images with the predictions of all seeds. Intervals are percentiles of the resampled scores (Efron and
Tibshirani 1993, chapter 13), resamples in which a score is undefined left out, widened where needed so that
they contain the score itself: calibration error, for one, is biased upwards in resamples.

A percentile interval flatters a nearly perfect result: without an error in the test set no resample has one,
and the interval would be [1, 1]. Hence
- accuracy and sensitivity are widened to the exact binomial interval at the design's effective sample size
  (`proportion_interval`), which for independent images is Clopper and Pearson's;
- balanced accuracy, a mean of sensitivities, is widened to what their intervals give together (Zou and
  Donner 2008, "method of variance estimates recovery");
- another score that is perfect in all resamples takes over the distance from balanced accuracy (or, for
  losses, from accuracy, times the greatest loss one image can have).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import beta

from lung_attention.evaluation.metrics import confusion_matrix, per_class
from lung_attention.evaluation.predictions import Predictions, predictions_to_arrays
from lung_attention.evaluation.weighted import (
    LOSSES,
    SCORES,
    SMALLEST_PROBABILITY,
    Floats,
    WeightedScores,
)

_CHUNK_CELLS = 1 << 20  # weights held at once: 8 MB of float64
_DEGENERATE = 1e-12
_FEW_CLUSTERS = 5  # below which the correlation within clusters cannot be estimated


def multiplicities(n_clusters: int, *, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each cluster is drawn, resample by resample.

    Args:
        n_clusters: Clusters to draw from, and draws in a resample.
        resamples: Number of resamples.
        seed: Equal seeds give equal resamples, so that two sets of predictions on the same clusters can be
            compared pairwise by resampling each of them.

    Yields:
        `(n_clusters, b)` float64 arrays of whole numbers; their columns sum to `n_clusters`, and the `b`
        together make `resamples`.
    """
    generator = np.random.default_rng(seed)
    width = max(1, min(64, _CHUNK_CELLS // n_clusters))
    for start in range(0, resamples, width):
        drawn = np.empty((n_clusters, min(width, resamples - start)))
        for column in range(drawn.shape[1]):
            # One draw a resample, so that the chunk's width leaves no trace in the numbers.
            picks = generator.integers(n_clusters, size=n_clusters)
            drawn[:, column] = np.bincount(picks, minlength=n_clusters)
        yield drawn


def resampled_scores(
    predictions: Predictions,
    *,
    resamples: int,
    seed: int,
    bins: int,
    rank: bool,
    clusters: tuple[NDArray[np.integer], int] | None = None,
) -> dict[str, Floats]:
    """Scores of each bootstrap resample, means over seeds.

    Args:
        predictions: Predictions of one cell, `n` images.
        resamples: Number of resamples.
        seed: Seed of the resampling (see `multiplicities`).
        bins: Bins of the calibration error.
        rank: Whether the scores from ranks are wanted too.
        clusters: `(n,)` cluster of each image and the number of clusters, when they are not the predictions'
            own.

    Returns:
        For each score `(resamples,)`, and under `sensitivity` `(c, resamples)`. NaN where undefined.
    """
    codes, n_clusters = predictions.clusters() if clusters is None else clusters
    models = [
        WeightedScores(predictions.labels, p, clusters=codes, n_clusters=n_clusters, bins=bins, rank=rank)
        for p in predictions.probabilities
    ]
    chunks: dict[str, list[Floats]] = {}
    for weights in multiplicities(n_clusters, resamples=resamples, seed=seed):
        per_model = [model(weights) | {"sensitivity": model.sensitivities(weights)} for model in models]
        for name in per_model[0]:
            mean = np.mean([values[name] for values in per_model], axis=0)
            chunks.setdefault(name, []).append(mean)
    return {name: np.concatenate(parts, axis=-1) for name, parts in chunks.items()}


def seed_scores(predictions: Predictions, *, bins: int) -> dict[str, Floats]:
    """Scores of each seed, `(s,)`, and under `sensitivity` `(c, s)`."""
    n = len(predictions.labels)
    every = np.ones((n, 1))
    parts: dict[str, list[Floats]] = {}
    for p in predictions.probabilities:
        model = WeightedScores(
            predictions.labels, p, clusters=np.arange(n), n_clusters=n, bins=bins, rank=True
        )
        for name, value in (model(every) | {"sensitivity": model.sensitivities(every)}).items():
            parts.setdefault(name, []).append(value)
    return {name: np.concatenate(values, axis=-1) for name, values in parts.items()}


def percentile_interval(resampled: Floats, point: float, *, confidence: float) -> tuple[float, float]:
    """Percentiles of the defined ones of `(resamples,)` values, widened to contain `point`.

    Returns:
        Lower and upper bound, NaN where the point or every resample is undefined.
    """
    values = resampled[~np.isnan(resampled)]
    if math.isnan(point) or values.size == 0:
        return math.nan, math.nan
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return min(float(low), point), max(float(high), point)


def binomial_interval(successes: float, trials: float, *, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a proportion; the counts may be fractions."""
    tail = (1 - confidence) / 2
    failures = trials - successes
    low = 0.0 if successes <= 0 else float(beta.ppf(tail, successes, failures + 1))
    high = 1.0 if failures <= 0 else float(beta.ppf(1 - tail, successes + 1, failures))
    return low, high


def proportion_interval(
    proportion: float, deviation: float, *, n_clusters: int, n_images: int, confidence: float
) -> tuple[float, float]:
    """Exact binomial interval at the effective sample size of clustered images (Korn and Graubard 1998).

    The effective size is that of independent images with the same variance, p(1 − p) / deviation². Errors in
    few clusters say little about that variance, none nothing. So one cluster of average size is imagined to
    be wrong in addition, with a weight that fades as more clusters than about five are in error. With
    independent images the effective size is n all along; without any error it is the number of clusters.

    Args:
        proportion: The proportion, 0..1 (a mean over images, and seeds).
        deviation: Its bootstrap standard deviation.
        n_clusters: Clusters resampled.
        n_images: Images; the effective size is at most this, since seeds add no images.
        confidence: Such as 0.95.

    Returns:
        Lower and upper bound, containing `proportion`.
    """
    rarer = min(proportion, 1 - proportion)
    in_error = (
        rarer**2 / deviation**2 if deviation > 0 else 0.0
    )  # independent clusters, for a small proportion
    imagined = 1 / (1 + (in_error / _FEW_CLUSTERS) ** 2)
    rarer += imagined / n_clusters
    variance = deviation**2 + imagined / n_clusters**2
    effective = min(max(rarer * (1 - rarer) / variance, 1.0), float(n_images))
    low, high = binomial_interval(proportion * effective, effective, confidence=confidence)
    return min(low, proportion), max(high, proportion)


def evaluate(
    table: pd.DataFrame, classes: Sequence[str], *, resamples: int, confidence: float, bins: int, seed: int
) -> dict[str, Any]:
    """Scores, intervals, class figures and confusion matrix of one cell.

    Args:
        table: Predictions (see `predictions.predictions_to_arrays`); column `group` decides what is
            resampled.
        classes: Class names in label order.
        resamples: Bootstrap resamples.
        confidence: Of the intervals, such as 0.95.
        bins: Bins of the calibration error.
        seed: Of the resampling.

    Returns:
        JSON-ready: `n_test`, `n_groups` (clusters resampled: groups, or images where no group is known),
        `seeds`; for each score `<score>`, `<score>_low`, `<score>_high` and `<score>_seed_sd` (sample
        standard deviation over seeds, 0.0 for one seed); `per_class` with `sensitivity`, `sensitivity_low`,
        `sensitivity_high`, `specificity`, `ppv`, `f1` and `support`; `confusion_matrix` with `classes` and
        `counts` (means over seeds). What is undefined is None.

    Raises:
        UserError: The table is not in the predictions schema.
    """
    predictions = predictions_to_arrays(table, classes)
    per_seed = seed_scores(predictions, bins=bins)
    resampled = resampled_scores(predictions, resamples=resamples, seed=seed, bins=bins, rank=True)
    intervals, sensitivity_intervals = score_intervals(
        predictions, per_seed, resampled, confidence=confidence
    )

    result: dict[str, Any] = {
        "n_test": len(predictions.images),
        "n_groups": predictions.clusters()[1],
        "seeds": list(predictions.seeds),
    }
    for name in SCORES:
        values = per_seed[name]
        low, high = intervals[name]
        result[name] = _json(float(values.mean()))
        result[f"{name}_low"], result[f"{name}_high"] = _json(low), _json(high)
        result[f"{name}_seed_sd"] = _json(float(values.std(ddof=1)) if len(values) > 1 else 0.0)

    c = len(classes)
    counts = np.stack([confusion_matrix(predictions.labels, p, classes=c) for p in predictions.predicted])
    figures = [per_class(matrix) for matrix in counts]
    result["per_class"] = {}
    for k, name in enumerate(classes):
        mean = {key: float(np.mean([of_seed[key][k] for of_seed in figures])) for key in figures[0]}
        low, high = sensitivity_intervals[k]
        result["per_class"][name] = {
            "sensitivity": _json(mean["sensitivity"]),
            "sensitivity_low": _json(low),
            "sensitivity_high": _json(high),
            "specificity": _json(mean["specificity"]),
            "ppv": _json(mean["ppv"]),
            "f1": _json(mean["f1"]),
            "support": round(mean["support"]),
        }
    result["confusion_matrix"] = {"classes": list(classes), "counts": counts.mean(axis=0).tolist()}
    return result


def score_intervals(
    predictions: Predictions, per_seed: dict[str, Floats], resampled: dict[str, Floats], *, confidence: float
) -> tuple[dict[str, tuple[float, float]], list[tuple[float, float]]]:
    """Intervals of all scores and of the sensitivities, by the rules at the head of this module.

    Args:
        predictions: Predictions of one cell.
        per_seed: From `seed_scores`.
        resampled: From `resampled_scores`.
        confidence: Such as 0.95.

    Returns:
        Lower and upper bound of every score in `resampled`, and of the sensitivity of every class.
    """
    codes, n_clusters = predictions.clusters()
    points = {name: float(per_seed[name].mean()) for name in resampled if name != "sensitivity"}
    intervals = {
        name: percentile_interval(resampled[name], point, confidence=confidence)
        for name, point in points.items()
    }
    sensitivities = per_seed["sensitivity"].mean(axis=1)
    by_class = []
    for k, sensitivity in enumerate(sensitivities):
        own = codes[predictions.labels == k]
        percentiles = percentile_interval(resampled["sensitivity"][k], sensitivity, confidence=confidence)
        by_class.append(
            _widened_proportion(
                percentiles, sensitivity, resampled["sensitivity"][k],
                n_clusters=len(np.unique(own)), n_images=len(own), confidence=confidence,
            )
        )  # fmt: skip
    intervals["accuracy"] = _widened_proportion(
        intervals["accuracy"], points["accuracy"], resampled["accuracy"],
        n_clusters=n_clusters, n_images=len(codes), confidence=confidence,
    )  # fmt: skip
    if not math.isnan(points["balanced_accuracy"]):
        bounds = np.asarray(by_class)
        below = math.hypot(*(sensitivities - bounds[:, 0])) / len(bounds)
        above = math.hypot(*(bounds[:, 1] - sensitivities)) / len(bounds)
        low, high = intervals["balanced_accuracy"]
        mean = points["balanced_accuracy"]
        intervals["balanced_accuracy"] = (
            max(0.0, min(low, mean - below)),
            min(1.0, max(high, mean + above)),
        )
    _widen_perfect(intervals, points, classes=len(predictions.classes))
    return intervals, by_class


def _widened_proportion(
    interval: tuple[float, float],
    proportion: float,
    resampled: Floats,
    *,
    n_clusters: int,
    n_images: int,
    confidence: float,
) -> tuple[float, float]:
    """Union of a percentile interval and `proportion_interval`."""
    if math.isnan(proportion):
        return interval
    deviation = float(np.std(resampled[~np.isnan(resampled)])) if not np.isnan(resampled).all() else 0.0
    low, high = proportion_interval(
        proportion, deviation, n_clusters=n_clusters, n_images=n_images, confidence=confidence
    )
    return (low, high) if math.isnan(interval[0]) else (min(low, interval[0]), max(high, interval[1]))


def _widen_perfect(
    intervals: dict[str, tuple[float, float]], points: dict[str, float], *, classes: int
) -> None:
    """Gives the remaining scores that are perfect in every resample a width, in place."""
    shortfall = 1 - intervals["accuracy"][0]
    # Without a balanced accuracy (a class is absent) only MCC can still be perfect.
    balanced = intervals["balanced_accuracy"][0]
    balanced_shortfall = shortfall if math.isnan(balanced) else 1 - balanced
    # MCC of equal classes with error rate e is 1 - e c/(c-1).
    scale = {"mcc": classes / (classes - 1)}
    greatest_loss = {"log_loss": -math.log(SMALLEST_PROBABILITY), "brier": 2.0, "ece": 1.0}
    for name, point in points.items():
        low, high = intervals[name]
        if high - low > _DEGENERATE or name in ("accuracy", "balanced_accuracy"):
            continue
        if name in LOSSES and point < _DEGENERATE:
            intervals[name] = (low, high + greatest_loss[name] * shortfall)
        elif name not in LOSSES and point > 1 - _DEGENERATE:
            intervals[name] = (low - scale.get(name, 1.0) * balanced_shortfall, high)


def _json(value: float) -> float | None:
    return None if math.isnan(value) else value
