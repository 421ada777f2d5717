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
- each score has a lower bound for the case that it is perfect, at the effective number of clusters of unequal
  size (`bounds.effective_size`): accuracy and sensitivity the exact binomial one, an area under the ROC curve
  Newcombe's, the others what follows from these (`bounds.perfect_scores`). No interval of a score begins
  above it: a perfect score never looks less certain than one with an error;
- a loss that is 0 in all resamples takes over the distance from accuracy, times the greatest loss one image
  can have. A small one keeps its percentiles: what a rarer error would cost is not in these images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lung_attention.evaluation.bounds import (
    effective_size,
    perfect_proportion,
    perfect_scores,
    proportion_interval,
)
from lung_attention.evaluation.metrics import confusion_matrix, per_class
from lung_attention.evaluation.predictions import Predictions, predictions_to_arrays
from lung_attention.evaluation.weighted import (
    SCORES,
    SMALLEST_PROBABILITY,
    Floats,
    Integers,
    WeightedScores,
)

_CHUNK_CELLS = 1 << 20  # weights held at once: 8 MB of float64
_DEGENERATE = 1e-12


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


def evaluate(
    table: pd.DataFrame, classes: Sequence[str], *, resamples: int, confidence: float, bins: int, seed: int
) -> dict[str, Any]:
    """The scores of a table of predictions (see `predictions.predictions_to_arrays`), as `evaluate_arrays`.

    Raises:
        UserError: The table is not in the predictions schema.
    """
    predictions = predictions_to_arrays(table, classes)
    return evaluate_arrays(predictions, resamples=resamples, confidence=confidence, bins=bins, seed=seed)


def evaluate_arrays(
    predictions: Predictions, *, resamples: int, confidence: float, bins: int, seed: int
) -> dict[str, Any]:
    """Scores, intervals, scores of each class and confusion matrix of one cell.

    Args:
        predictions: Predictions of one cell; their groups decide what is resampled.
        resamples: Bootstrap resamples.
        confidence: Of the intervals, such as 0.95.
        bins: Bins of the calibration error.
        seed: Of the resampling.

    Returns:
        JSON-ready: `n_test`, `n_groups` (clusters resampled: groups, or images where no group is known),
        `n_effective` (equal clusters that would tell as much, see `bounds.effective_size`), `seeds`; for each
        score `<score>`, `<score>_low`, `<score>_high` and `<score>_seed_sd` (sample standard deviation over
        seeds, 0.0 for one seed); `per_class` with `sensitivity`, `sensitivity_low`, `sensitivity_high`,
        `specificity`, `ppv`, `f1` and `support`; `confusion_matrix` with `classes` and `counts` (means over
        seeds). What is undefined is None.
    """
    per_seed = seed_scores(predictions, bins=bins)
    resampled = resampled_scores(predictions, resamples=resamples, seed=seed, bins=bins, rank=True)
    intervals, sensitivity_intervals = score_intervals(
        predictions, per_seed, resampled, confidence=confidence
    )
    clusters, n_clusters = predictions.clusters()
    result: dict[str, Any] = {
        "n_test": len(predictions.images),
        "n_groups": n_clusters,
        "n_effective": effective_size(clusters),
        "seeds": list(predictions.seeds),
    }
    for name in SCORES:
        values = per_seed[name]
        low, high = intervals[name]
        result[name] = json_number(float(values.mean()))
        result[f"{name}_low"], result[f"{name}_high"] = json_number(low), json_number(high)
        result[f"{name}_seed_sd"] = json_number(float(values.std(ddof=1)) if len(values) > 1 else 0.0)

    c = len(predictions.classes)
    counts = np.stack([confusion_matrix(predictions.labels, p, classes=c) for p in predictions.predicted])
    figures = [per_class(matrix) for matrix in counts]
    result["per_class"] = {}
    for k, name in enumerate(predictions.classes):
        mean = {key: float(np.mean([of_seed[key][k] for of_seed in figures])) for key in figures[0]}
        low, high = sensitivity_intervals[k]
        result["per_class"][name] = {
            "sensitivity": json_number(mean["sensitivity"]),
            "sensitivity_low": json_number(low),
            "sensitivity_high": json_number(high),
            "specificity": json_number(mean["specificity"]),
            "ppv": json_number(mean["ppv"]),
            "f1": json_number(mean["f1"]),
            "support": round(mean["support"]),
        }
    classes = list(predictions.classes)
    result["confusion_matrix"] = {"classes": classes, "counts": counts.mean(axis=0).tolist()}
    return result


def json_number(value: float) -> float | None:
    """A number for JSON, which has neither NaN (undefined) nor infinity (unbounded): both are None."""
    return value if math.isfinite(value) else None


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
    codes, _ = predictions.clusters()
    points = {name: float(per_seed[name].mean()) for name in resampled if name != "sensitivity"}
    intervals = {
        name: percentile_interval(resampled[name], point, confidence=confidence)
        for name, point in points.items()
    }
    of_class = [codes[predictions.labels == k] for k in range(len(predictions.classes))]
    sensitivities = per_seed["sensitivity"].mean(axis=1)
    by_class = [
        widened_proportion(float(sensitivities[k]), resampled["sensitivity"][k], own, confidence=confidence)
        for k, own in enumerate(of_class)
    ]
    intervals["accuracy"] = widened_proportion(
        points["accuracy"], resampled["accuracy"], codes, confidence=confidence
    )
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
    perfect = perfect_scores(predictions.labels, codes, classes=len(of_class), confidence=confidence)
    for name, bound in perfect.items():
        if name in intervals and not math.isnan(points[name]):
            low, high = intervals[name]
            intervals[name] = (min(low, bound), high)
    shortfall = 1 - intervals["accuracy"][0]
    greatest_loss = {"log_loss": -math.log(SMALLEST_PROBABILITY), "brier": 2.0, "ece": 1.0}
    for name, greatest in greatest_loss.items():
        low, high = intervals[name]
        if high - low <= _DEGENERATE and points[name] < _DEGENERATE:
            intervals[name] = (low, high + greatest * shortfall)
    return intervals, by_class


def widened_proportion(
    proportion: float, resampled: Floats, clusters: Integers, *, confidence: float
) -> tuple[float, float]:
    """Interval of a proportion: percentiles, `proportion_interval`, and the bounds of a perfect one.

    Args:
        proportion: 0..1, a mean over images and seeds; may be NaN.
        resampled: `(resamples,)`, NaN where undefined.
        clusters: `(n,)` int, the cluster of each image that it is a proportion of.
        confidence: Such as 0.95.

    Returns:
        Lower and upper bound, NaN where the proportion is undefined.
    """
    low, high = percentile_interval(resampled, proportion, confidence=confidence)
    if math.isnan(proportion):
        return low, high
    deviation = float(np.std(resampled[~np.isnan(resampled)])) if not np.isnan(resampled).all() else 0.0
    own_low, own_high = proportion_interval(
        proportion, deviation, n_clusters=len(np.unique(clusters)), n_images=len(clusters),
        confidence=confidence,
    )  # fmt: skip
    low, high = (own_low, own_high) if math.isnan(low) else (min(own_low, low), max(own_high, high))
    perfect = perfect_proportion(clusters, confidence=confidence)
    return min(low, perfect), max(high, 1 - perfect)
