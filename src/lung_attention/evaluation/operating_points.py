"""Operating points of a cell, each class against the rest: sensitivities, predictive values, net benefit.

Thresholds are read off the very test images that they are measured on, so that sensitivities at a fixed
specificity are somewhat too good; those of the default decision, the most probable class, are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lung_attention.evaluation.intervals import (
    json_number,
    multiplicities,
    percentile_interval,
    widened_proportion,
)
from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import Floats, Integers, ratio

THRESHOLDS = np.arange(1, 20) / 20
"""Threshold probabilities of the net benefit."""

_ROUNDING = 1e-9


def operating_points(
    predictions: Predictions,
    *,
    specificities: Sequence[float],
    prevalences: Sequence[float],
    resamples: int,
    confidence: float,
    seed: int,
) -> dict[str, Any]:
    """Operating points of each class against the rest, means over seeds with bootstrap intervals.

    Args:
        predictions: Of one cell.
        specificities: At which sensitivities are given.
        prevalences: Of the class, at which predictive values of the default decision are given.
        resamples: Bootstrap resamples over clusters.
        confidence: Of the intervals, such as 0.95.
        seed: Of the resampling; equal seeds draw as those of the other scores.

    Returns:
        JSON-ready, by class; what is undefined is None:
        - `specificity` of the default decision, with `_low` and `_high`;
        - `at_specificity`: by specificity `sensitivity`, `_low`, `_high`;
        - `at_prevalence`: by prevalence `ppv` and `npv`, each with `_low` and `_high`;
        - `net_benefit`: `thresholds`, and for each of them `model`, `model_low`, `model_high` and
          `treat_all` in lists (see `net_benefit`).
    """
    codes, n_clusters = predictions.clusters()
    count = len(predictions.classes)
    curves, tables = [], []
    for k in range(count):
        of_class = predictions.labels == k
        curves.append([_Curve(of_class, p[:, k], codes) for p in predictions.probabilities])
        tables.append(
            [
                _Counts(of_class, p.argmax(axis=1) == k, p[:, k], codes, n_clusters)
                for p in predictions.probabilities
            ]
        )
    every = np.ones((n_clusters, 1))
    parts: list[list[dict[str, Floats]]] = [[] for _ in range(count)]
    for weights in multiplicities(n_clusters, resamples=resamples, seed=seed):
        for k in range(count):
            parts[k].append(_values(curves[k], tables[k], weights, specificities))
    result = {}
    for k, name in enumerate(predictions.classes):
        point = {
            key: value[..., 0] for key, value in _values(curves[k], tables[k], every, specificities).items()
        }
        drawn = {key: np.concatenate([part[key] for part in parts[k]], axis=-1) for key in point}
        own, rest = codes[predictions.labels == k], codes[predictions.labels != k]
        result[name] = _class_entry(
            point,
            drawn,
            own,
            rest,
            specificities=specificities,
            prevalences=prevalences,
            confidence=confidence,
        )
    return result


def predictive_values(sensitivity: Floats, specificity: Floats, prevalence: float) -> tuple[Floats, Floats]:
    """Positive and negative predictive value at a prevalence, by Bayes' theorem.

    Args:
        sensitivity: `(b,)`.
        specificity: `(b,)`.
        prevalence: Of the class.

    Returns:
        Both `(b,)`; NaN where nothing, or everything, is taken for the class.
    """
    hits, alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    passed, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return ratio(hits, hits + alarms), ratio(passed, passed + missed)


def net_benefit(true_positives: Floats, false_positives: Floats, total: Floats, threshold: Floats) -> Floats:
    """Net benefit TP / n − FP / n · t / (1 − t) of treating from a threshold probability t on.

    Vickers and Elkin (2006, *Medical Decision Making* 26:565); to treat all is the case that all positives
    are true positives and all negatives false ones, to treat none has the net benefit 0.
    """
    return ratio(true_positives, total) - ratio(false_positives, total) * threshold / (1 - threshold)


class _Curve:
    """The ROC curve of one class against the rest for any weights of the clusters.

    Args:
        positive: `(n,)` bool, whether the image is of the class.
        score: `(n,)` probability of the class.
        clusters: `(n,)` int, the cluster of each image.
    """

    def __init__(self, positive: NDArray[np.bool_], score: Floats, clusters: Integers) -> None:
        def falling(rows: Integers) -> Integers:
            return rows[np.argsort(-score[rows], kind="stable")]

        own, rest = falling(np.flatnonzero(positive)), falling(np.flatnonzero(~positive))
        self._own, self._rest = clusters[own], clusters[rest]
        # Of each other image: how many of the class have a higher probability. A threshold just above its
        # probability calls these, and none of its equals.
        self._higher = np.searchsorted(-score[own], -score[rest], side="left")

    def sensitivities(self, weights: Floats, specificities: Sequence[float]) -> Floats:
        """Largest sensitivity of any threshold whose specificity is at least the given one.

        No point between two thresholds is interpolated: what is given is reached by a threshold.

        Args:
            weights: `(n_clusters, b)`.
            specificities: `f` of them.

        Returns:
            `(f, b)`, NaN where the class, or every other, has no weight.
        """
        columns = np.arange(weights.shape[1])
        called = np.zeros((len(self._own) + 1, len(columns)))
        np.cumsum(weights[self._own], axis=0, out=called[1:])
        total = np.zeros(len(columns))
        if len(self._rest):
            total = np.bincount(self._rest, minlength=len(weights)) @ weights
        result = np.full((len(specificities), len(columns)), np.nan)
        allowed = (1 - np.asarray(specificities))[:, None] * total
        # Only the first of the others decide; how many is found by doubling.
        reach = min(len(self._rest), 64)
        while reach:
            alarms = np.cumsum(weights[self._rest[:reach]], axis=0)
            if reach == len(self._rest) or (alarms[-1] > allowed.max(axis=0) + _ROUNDING).all():
                break
            reach = min(2 * reach, len(self._rest))
        for row, limit in enumerate(allowed):
            if reach:
                beyond = alarms > limit + _ROUNDING
                first = beyond.argmax(axis=0)
                upto = np.where(beyond.any(axis=0), self._higher[first], len(self._own))
                result[row] = np.where(total > 0, ratio(called[upto, columns], called[-1]), np.nan)
        return result


class _Counts:
    """Counts of one class against the rest that any weights of the clusters sum up.

    Args:
        positive: `(n,)` bool, whether the image is of the class.
        decided: `(n,)` bool, whether the class is the most probable one.
        score: `(n,)` probability of the class.
        clusters: `(n,)` int.
        n_clusters: Number of clusters.
    """

    def __init__(
        self, positive: NDArray[np.bool_], decided: NDArray[np.bool_], score: Floats, clusters: Integers,
        n_clusters: int,
    ) -> None:  # fmt: skip
        called = [decided, *(score >= threshold for threshold in THRESHOLDS)]
        rows = [
            positive,
            ~positive,
            *(positive & one for one in called),
            *(~positive & one for one in called),
        ]
        self._sums = np.stack(
            [np.bincount(clusters, weights=row.astype(np.float64), minlength=n_clusters) for row in rows]
        )

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Sensitivity and specificity `(b,)` of the decision, net benefits `(thresholds, b)`."""
        sums = self._sums @ weights
        own, rest = sums[0], sums[1]
        hits, alarms = np.split(sums[2:], 2)
        total, thresholds = own + rest, THRESHOLDS[:, None]
        return {
            "sensitivity": ratio(hits[0], own),
            "specificity": 1 - ratio(alarms[0], rest),
            "model": net_benefit(hits[1:], alarms[1:], total, thresholds),
            "treat_all": net_benefit(own, rest, total, thresholds),
        }


def _values(
    curves: Sequence[_Curve], counts: Sequence[_Counts], weights: Floats, specificities: Sequence[float]
) -> dict[str, Floats]:
    """Means over seeds of all that is given of a class, in the last axis `b` weightings."""
    of_seed = [
        one(weights) | {"at_specificity": curve.sensitivities(weights, specificities)}
        for curve, one in zip(curves, counts, strict=True)
    ]
    return {key: np.mean([values[key] for values in of_seed], axis=0) for key in of_seed[0]}


def _class_entry(
    point: dict[str, Floats],
    drawn: dict[str, Floats],
    own: Integers,
    rest: Integers,
    *,
    specificities: Sequence[float],
    prevalences: Sequence[float],
    confidence: float,
) -> dict[str, Any]:
    """What `operating_points` gives of one class, from its values and those of all resamples."""

    def proportion(value: float, resampled: Floats, clusters: Integers) -> tuple[float, float]:
        return widened_proportion(value, resampled, clusters, confidence=confidence)

    sensitivity, specificity = float(point["sensitivity"]), float(point["specificity"])
    sensitivities = proportion(sensitivity, drawn["sensitivity"], own)
    specificities_of_decision = proportion(specificity, drawn["specificity"], rest)
    entry: dict[str, Any] = _with_bounds("specificity", specificity, specificities_of_decision)
    entry["at_specificity"] = {
        f"{fixed:g}": _with_bounds("sensitivity", float(value), proportion(float(value), resampled, own))
        for fixed, value, resampled in zip(
            specificities, point["at_specificity"], drawn["at_specificity"], strict=True
        )
    }
    entry["at_prevalence"] = {}
    # Where no resample has an error, predictive values move as far as either rate's own bound takes them.
    corners = np.array(
        [
            (sensitivity, specificity),
            *((one, specificity) for one in sensitivities),
            *((sensitivity, one) for one in specificities_of_decision),
        ]
    )
    for prevalence in prevalences:
        at_corners = predictive_values(corners[:, 0], corners[:, 1], prevalence)
        resampled = predictive_values(drawn["sensitivity"], drawn["specificity"], prevalence)
        values: dict[str, float | None] = {}
        for name, ends, of_resample in zip(("ppv", "npv"), at_corners, resampled, strict=True):
            low, high = percentile_interval(of_resample, float(ends[0]), confidence=confidence)
            if not math.isnan(low):
                low, high = min(low, float(np.nanmin(ends))), max(high, float(np.nanmax(ends)))
            values |= _with_bounds(name, float(ends[0]), (low, high))
        entry["at_prevalence"][f"{prevalence:g}"] = values
    bounds = [
        percentile_interval(of_threshold, float(value), confidence=confidence)
        for value, of_threshold in zip(point["model"], drawn["model"], strict=True)
    ]
    entry["net_benefit"] = {
        "thresholds": THRESHOLDS.tolist(),
        "model": [json_number(float(value)) for value in point["model"]],
        "model_low": [json_number(low) for low, _ in bounds],
        "model_high": [json_number(high) for _, high in bounds],
        "treat_all": [json_number(float(value)) for value in point["treat_all"]],
    }
    return entry


def _with_bounds(name: str, value: float, bounds: tuple[float, float]) -> dict[str, float | None]:
    return {
        name: json_number(value),
        f"{name}_low": json_number(float(bounds[0])),
        f"{name}_high": json_number(float(bounds[1])),
    }
