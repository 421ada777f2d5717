"""All that is measured of a cell's predictions: the content of its `metrics.json` but for what it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lung_attention.evaluation.calibration import calibration
from lung_attention.evaluation.further_scores import further_scores
from lung_attention.evaluation.intervals import evaluate_arrays
from lung_attention.evaluation.operating_points import operating_points
from lung_attention.evaluation.per_group import scores_per_group
from lung_attention.evaluation.predictions import Predictions


def cell_metrics(
    predictions: Predictions,
    *,
    resamples: int,
    confidence: float,
    bins: int,
    specificities: Sequence[float],
    prevalences: Sequence[float],
    seed: int,
) -> dict[str, Any]:
    """Measures the predictions of one cell.

    Args:
        predictions: Of one cell.
        resamples: Bootstrap resamples over clusters.
        confidence: Of the intervals, such as 0.95.
        bins: Bins of the calibration error and the reliability diagram.
        specificities: At which sensitivities are given.
        prevalences: At which predictive values are given.
        seed: Of the resampling.

    Returns:
        JSON-ready: what `evaluate_arrays` and `further_scores` give, and under their names `calibration`,
        `operating_points` and `per_group` (see the functions of these names, and `scores_per_group`).
    """
    return {
        **evaluate_arrays(predictions, resamples=resamples, confidence=confidence, bins=bins, seed=seed),
        **further_scores(predictions, resamples=resamples, confidence=confidence, seed=seed),
        "calibration": calibration(
            predictions, resamples=resamples, confidence=confidence, bins=bins, seed=seed
        ),
        "operating_points": operating_points(
            predictions,
            specificities=specificities,
            prevalences=prevalences,
            resamples=resamples,
            confidence=confidence,
            seed=seed,
        ),
        "per_group": scores_per_group(predictions, resamples=resamples, confidence=confidence, seed=seed),
    }
