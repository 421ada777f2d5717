"""All that is measured of a cell's predictions: `metrics.json` but for what it is, and its short form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def short_scores(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What `dvc metrics` shows of a cell: few enough for a line, each of which anybody compares.

    Args:
        metrics: From `cell_metrics`.

    Returns:
        accuracy, balanced_accuracy, auroc, mcc, log_loss, and the intervals of the first two as texts such as
        "0.812 to 0.871"; None where one is not defined.
    """

    def interval(name: str) -> str | None:
        ends = [metrics.get(f"{name}_{end}") for end in ("low", "high")]
        return None if None in ends else " to ".join(f"{end:.3f}" for end in ends)

    return {
        "accuracy": metrics["accuracy"],
        "accuracy_interval": interval("accuracy"),
        "balanced_accuracy": metrics["balanced_accuracy"],
        "balanced_accuracy_interval": interval("balanced_accuracy"),
        "auroc": metrics["auroc_ovr"],
        "mcc": metrics["mcc"],
        "log_loss": metrics["log_loss"],
    }
