"""Optimism due to leakage: the scores of the published split minus those of the grouped one.

Both splits are resampled *together*: the images of the published test set are images of the grouped one, too,
so a resample draws clusters from the union of both, and each split's score uses what is drawn of its own
images. What the two scores share then cancels as it should; two separate bootstraps would overstate the
interval.

An entry of `leakage` in `comparisons.json` has `dataset`, `kind` (network, baseline), `backbone`, `head` and
`recipe`, or `baseline`, the others null; for each of `LEAKAGE_SCORES` `{published, grouped, difference, low,
high}`, published − grouped, and under `same_images` the same on the published test images alone, each
predicted by the grouped fold that had not seen it, with their number `n_test`; `classes`, for each `{share,
published, grouped}` (its share of the images, and its sensitivity on both splits); and `verdict` (drop, rise,
no clear change) from the accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from lung_attention.cells import Cell
from lung_attention.errors import UserError
from lung_attention.evaluation.intervals import percentile_interval
from lung_attention.evaluation.measured import Bootstrap, Measured, defined
from lung_attention.evaluation.predictions import Predictions, cluster_codes
from lung_attention.evaluation.verdicts import leakage_verdict
from lung_attention.evaluation.weighted import Floats, Integers

LEAKAGE_SCORES = ("accuracy", "balanced_accuracy", "mcc", "auroc_ovr")
"""Scores of which the optimism is measured."""

_UNMOVED = 1e-12


def network_leakage(measured: Mapping[Cell, Measured], bootstrap: Bootstrap) -> Iterator[dict[str, Any]]:
    """Yields an entry for each dataset, backbone, head and recipe measured on both splits."""
    for cell, published in measured.items():
        grouped = measured.get(replace(cell, split="grouped"))
        if cell.split == "published" and grouped is not None:
            yield {
                "dataset": cell.dataset,
                "kind": "network",
                "backbone": cell.backbone,
                "head": cell.head,
                "recipe": cell.recipe,
                "baseline": None,
                **_leakage(published, grouped, bootstrap),
            }


def baseline_leakage(
    baselines: Mapping[tuple[str, str], Mapping[str, Measured]], bootstrap: Bootstrap
) -> Iterator[dict[str, Any]]:
    """Yields an entry for each baseline measured on both splits of a dataset."""
    for (dataset, split), published in baselines.items():
        grouped = baselines.get((dataset, "grouped"), {})
        if split != "published":
            continue
        for name in published:
            if name in grouped:
                yield {
                    "dataset": dataset,
                    "kind": "baseline",
                    "backbone": None,
                    "head": None,
                    "recipe": None,
                    "baseline": name,
                    **_leakage(published[name], grouped[name], bootstrap),
                }


def _leakage(published: Measured, grouped: Measured, bootstrap: Bootstrap) -> dict[str, Any]:
    """Scores of both splits, their differences with intervals, and the verdict."""
    result: dict[str, Any] = _differences(published, grouped, bootstrap)
    tested = np.isin(grouped.predictions.images, published.predictions.images)
    same = bootstrap.measure_predictions(grouped.predictions.only(tested))
    result["same_images"] = {"n_test": int(tested.sum()), **_differences(published, same, bootstrap)}
    sensitivities = [one.per_seed["sensitivity"].mean(axis=1) for one in (published, grouped)]
    labels = grouped.predictions.labels
    result["classes"] = {
        name: defined(
            share=float((labels == k).mean()),
            published=float(sensitivities[0][k]),
            grouped=float(sensitivities[1][k]),
        )
        for k, name in enumerate(grouped.predictions.classes)
    }
    result["verdict"] = leakage_verdict(result["accuracy"]["low"], result["accuracy"]["high"])
    return result


def _differences(
    published: Measured, grouped: Measured, bootstrap: Bootstrap
) -> dict[str, dict[str, float | None]]:
    """Published − grouped of each score, with its interval."""
    first, second = _joint_clusters(published.predictions, grouped.predictions)
    resampled = [
        bootstrap.resample(published.predictions, first),
        bootstrap.resample(grouped.predictions, second),
    ]
    result = {}
    for score in LEAKAGE_SCORES:
        points = published.point(score), grouped.point(score)
        difference = points[0] - points[1]
        low, high = percentile_interval(
            resampled[0][score] - resampled[1][score], difference, confidence=bootstrap.confidence
        )
        below, above = difference - low, high - difference
        # A score that no resample moves (a perfect one) adds what its own interval allows.
        if _is_unmoved(published.resampled[score]):
            own = published.intervals[score]
            below, above = math.hypot(below, points[0] - own[0]), math.hypot(above, own[1] - points[0])
        if _is_unmoved(grouped.resampled[score]):
            own = grouped.intervals[score]
            below, above = math.hypot(below, own[1] - points[1]), math.hypot(above, points[1] - own[0])
        result[score] = defined(
            published=points[0],
            grouped=points[1],
            difference=difference,
            low=difference - below,
            high=difference + above,
        )
    return result


def _is_unmoved(resampled: Floats) -> bool:
    """Whether a score is the same in all resamples that have it (a class may be absent from some)."""
    defined = resampled[~np.isnan(resampled)]
    return bool(defined.size and np.ptp(defined) < _UNMOVED)


def _joint_clusters(
    first: Predictions, second: Predictions
) -> tuple[tuple[Integers, int], tuple[Integers, int]]:
    """The clusters of two sets of predictions numbered together.

    Raises:
        UserError: An image stands in two groups.
    """
    images = np.concatenate([first.images, second.images])
    groups = np.concatenate([first.groups, second.groups])
    known: dict[str, str] = {}
    for image, group in zip(images, groups, strict=True):
        if group and known.setdefault(image, group) != group:
            raise UserError(
                f"Image {image!r} is of group {known[image]!r} in one split, of {group!r} in the other.",
                remedy="make the predictions of both splits anew with: dvc repro",
            )
    groups = np.array([known.get(image, "") for image in images], dtype=object)
    codes, n_clusters = cluster_codes(images, groups)
    n = len(first.images)
    return (codes[:n], n_clusters), (codes[n:], n_clusters)
