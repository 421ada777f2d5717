"""Calibration of a cell: whether its probabilities mean what they say, and what one temperature mends.

Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks") divides all log
probabilities by a temperature T > 0: decisions stay, confidence changes. On a split of several folds each is
scaled by the temperature of least log loss on the predictions of the *other* folds, so that no label of a
fold has a say in its own temperature. It is no nested estimate: the networks that made the predictions of the
other folds were trained on the fold's images. With one test part there is nothing left to fit one on.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from lung_attention.evaluation.intervals import (
    json_number,
    multiplicities,
    percentile_interval,
    resampled_scores,
    seed_scores,
)
from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.recalibration import (
    calibration_intercept,
    calibration_slope,
    clipped_log,
    inverse_temperature,
)
from lung_attention.evaluation.weighted import LOSSES, Floats

TEMPERATURES = (0.01, 100.0)
"""Bounds of a temperature; the lower one is taken where the other folds hold no error."""

_REFITS = 300  # resamples of the slope: each is a fit of its own


def calibration(
    predictions: Predictions, *, resamples: int, confidence: float, bins: int, seed: int
) -> dict[str, Any]:
    """Calibration of the predictions of one cell.

    Args:
        predictions: Of one cell.
        resamples: Bootstrap resamples over clusters; of the slope at most 300, as each is fitted anew.
        confidence: Of the intervals, such as 0.95.
        bins: Of equal width, of the reliability diagram and the calibration error.
        seed: Of the resampling; equal seeds draw as those of the other scores.

    Returns:
        JSON-ready, means over seeds; what is undefined or unbounded is None:
        - `slope`, `slope_low`, `slope_high`: calibration slope of all classes together (see
          `recalibration`): 1 is ideal, below 1 overconfident. None where no error bounds it;
        - `intercepts`: for each class against the rest `intercept`, `intercept_low`, `intercept_high`;
        - `class_share_log_loss`: log loss of who predicts for each image the shares of the classes among
          these test labels, the least that a constant prediction can reach;
        - `reliability`: see `reliability`;
        - `temperature`: None where there is one fold, else `by_fold` (`seed`, `fold`, `temperature`) and of
          the scaled probabilities `log_loss`, `brier`, `ece` and `slope`, each with `_low` and `_high`. The
          intervals take the temperatures as given.
    """
    shares = np.bincount(predictions.labels, minlength=len(predictions.classes)) / len(predictions.labels)
    found: dict[str, Any] = {
        **_slope(predictions, resamples=resamples, confidence=confidence, seed=seed),
        "intercepts": _intercepts(predictions, resamples=resamples, confidence=confidence, seed=seed),
        "class_share_log_loss": -float(sum(share * math.log(share) for share in shares if share > 0)),
        "reliability": reliability(predictions, bins=bins),
        "temperature": None,
    }
    by_fold = temperatures(predictions)
    if by_fold:
        scaled = scale(predictions, by_fold)
        found["temperature"] = {
            "by_fold": [
                {"seed": predictions.seeds[number], "fold": fold, "temperature": value}
                for (number, fold), value in by_fold.items()
            ],
            **_losses(scaled, resamples=resamples, confidence=confidence, bins=bins, seed=seed),
            **_slope(scaled, resamples=resamples, confidence=confidence, seed=seed),
        }
    return found


def temperatures(predictions: Predictions) -> dict[tuple[int, int], float]:
    """Temperature of each fold, fitted on the predictions of the other folds of its seed.

    Args:
        predictions: Of one cell.

    Returns:
        By the seed's place in `predictions.seeds` and the fold's number, within `TEMPERATURES`; 1 where the
        others' probabilities are all alike. Empty where there is one fold.
    """
    found: dict[tuple[int, int], float] = {}
    for number, (folds, p) in enumerate(zip(predictions.folds, predictions.probabilities, strict=True)):
        names = np.unique(folds)
        if len(names) < 2:
            return {}
        for fold in names.tolist():
            others = folds != fold
            weights = np.ones((int(others.sum()), 1))
            inverse = inverse_temperature(p[others], predictions.labels[others], weights)
            found[number, fold] = _bounded(float(inverse[0]))
    return found


def _bounded(inverse: float) -> float:
    if math.isnan(inverse):
        return 1.0
    low, high = TEMPERATURES
    return 1 / min(max(inverse, 1 / high), 1 / low)


def scale(predictions: Predictions, by_fold: dict[tuple[int, int], float]) -> Predictions:
    """Predictions with the temperature of each seed's place and fold applied."""
    scaled = np.empty_like(predictions.probabilities)
    for number, (folds, p) in enumerate(zip(predictions.folds, predictions.probabilities, strict=True)):
        values = np.array([by_fold[number, fold] for fold in folds.tolist()])
        logs = clipped_log(p) / values[:, None]
        powers = np.exp(logs - logs.max(axis=1, keepdims=True))
        scaled[number] = powers / powers.sum(axis=1, keepdims=True)
    return replace(predictions, probabilities=scaled)


def reliability(predictions: Predictions, *, bins: int) -> dict[str, Any]:
    """Reliability diagram: predicted probabilities and observed shares in bins of equal width.

    Args:
        predictions: Of one cell.
        bins: Number of bins, (k/bins, (k+1)/bins].

    Returns:
        `of`: the class whose probability it is, the first one, where there are two classes; None for the
        predicted class's where there are more. `bins`: those that are not empty, `low`, `high`, `predicted`
        (mean probability), `observed` (share of images of the class, or rightly predicted) and `count`
        (images, mean over seeds).
    """
    two = len(predictions.classes) == 2
    if two:
        p = predictions.probabilities[:, :, 0]
        true = np.broadcast_to(predictions.labels == 0, p.shape)
    else:
        p, true = predictions.probabilities.max(axis=2), predictions.right
    of_bin = np.clip(np.ceil(p * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = []
    for k in range(bins):
        inside = of_bin == k
        if inside.any():
            rows.append(
                {
                    "low": k / bins,
                    "high": (k + 1) / bins,
                    "predicted": float(p[inside].mean()),
                    "observed": float(true[inside].mean()),
                    "count": float(inside.sum()) / len(p),
                }
            )
    return {"of": predictions.classes[0] if two else None, "bins": rows}


def _slope(
    predictions: Predictions, *, resamples: int, confidence: float, seed: int
) -> dict[str, float | None]:
    codes, n_clusters = predictions.clusters()
    drawn = multiplicities(n_clusters, resamples=min(resamples, _REFITS), seed=seed)
    weights = np.concatenate(list(drawn), axis=1)[codes]
    every = np.ones((len(codes), 1))
    points, resampled = [], []
    for p in predictions.probabilities:
        points.append(calibration_slope(p, predictions.labels, every)[0])
        resampled.append(calibration_slope(p, predictions.labels, weights))
    point = float(np.mean(points))
    low, high = _ordered_interval(np.mean(resampled, axis=0), point, confidence=confidence)
    return {"slope": json_number(point), "slope_low": json_number(low), "slope_high": json_number(high)}


def _ordered_interval(values: Floats, point: float, *, confidence: float) -> tuple[float, float]:
    """Percentiles that are values themselves, as some may be infinite; NaN where the point is no number."""
    ordered = np.sort(values[~np.isnan(values)])
    if not math.isfinite(point) or ordered.size == 0:
        return math.nan, math.nan
    place = (1 - confidence) / 2 * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[len(ordered) - 1 - math.floor(place)]
    return min(float(low), point), max(float(high), point)


def _intercepts(
    predictions: Predictions, *, resamples: int, confidence: float, seed: int
) -> dict[str, dict[str, float | None]]:
    codes, n_clusters = predictions.clusters()
    weights = np.concatenate(list(multiplicities(n_clusters, resamples=resamples, seed=seed)), axis=1)
    found = {}
    for k, name in enumerate(predictions.classes):
        belongs = (predictions.labels == k).astype(np.int64)
        both = [calibration_intercept(p[:, k], belongs, codes, weights) for p in predictions.probabilities]
        point = float(np.mean([value for value, _ in both]))
        resampled = np.mean([values for _, values in both], axis=0)
        low, high = percentile_interval(resampled, point, confidence=confidence)
        found[name] = {
            "intercept": json_number(point),
            "intercept_low": json_number(low),
            "intercept_high": json_number(high),
        }
    return found


def _losses(
    predictions: Predictions, *, resamples: int, confidence: float, bins: int, seed: int
) -> dict[str, float | None]:
    per_seed = seed_scores(predictions, bins=bins)
    resampled = resampled_scores(predictions, resamples=resamples, seed=seed, bins=bins, rank=False)
    found = {}
    for name in LOSSES:
        point = float(per_seed[name].mean())
        low, high = percentile_interval(resampled[name], point, confidence=confidence)
        for end, value in (("", point), ("_low", low), ("_high", high)):
            found[f"{name}{end}"] = json_number(value)
    return found
