"""Tuned beside default: the same images, folds and seeds, other settings."""

from __future__ import annotations

from typing import Any

from lung_attention.evaluation.measured import Measured, figures
from lung_attention.evaluation.paired import difference_intervals, right_differences, sign_flip

SCORES = ("accuracy", "balanced_accuracy", "mcc", "auroc_ovr", "log_loss")


def compare_with_default(tuned: Measured, default: Measured, *, confidence: float) -> dict[str, Any]:
    """Measures what a search gained or lost on outer test parts that it never received.

    Args:
        tuned: Out-of-fold predictions of the settings found for each fold, measured.
        default: Those of the settings that `train` uses, resampled alike.
        confidence: Of the intervals, such as 0.95.

    Returns:
        `n_test`, `n_groups`, `seeds` (of tuned and default); `test` (sign-flip over groups, exact),
        `tuned_better` and `default_better` (groups), `p_value`; and for each of `SCORES` `{tuned, default,
        difference, low, high}`, the difference tuned − default with its paired interval.

    Raises:
        UserError: Both are not on the same images.
    """
    a, b = tuned.predictions, default.predictions
    moved = right_differences(a, b)
    units, n_units = a.units()
    test = sign_flip(moved, units)
    points = {score: tuned.point(score) - default.point(score) for score in SCORES}
    resampled = {score: tuned.resampled[score] - default.resampled[score] for score in SCORES}
    intervals = difference_intervals(a, b, points, resampled, confidence=confidence)
    return {
        "n_test": len(a.images),
        "n_groups": n_units,
        "seeds": {"tuned": len(a.seeds), "default": len(b.seeds)},
        "test": test.name,
        "tuned_better": test.better,
        "default_better": test.worse,
        "p_value": test.p_value,
        "differences": {
            score: figures(
                tuned=tuned.point(score),
                default=default.point(score),
                difference=points[score],
                low=intervals[score][0],
                high=intervals[score][1],
            )
            for score in SCORES
        },
    }
