"""Tuned beside default: the same images, folds and seeds, other settings."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lung_attention.evaluation.measured import Bootstrap, figures
from lung_attention.evaluation.paired import difference_intervals, right_differences, sign_flip

SCORES = ("accuracy", "balanced_accuracy", "mcc", "auroc_ovr", "log_loss")


def compare_with_default(
    tuned: pd.DataFrame, default: pd.DataFrame, dataset: str, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Measures what a search gained or lost on outer test parts that it never received.

    Args:
        tuned: Out-of-fold predictions of the settings found for each fold.
        default: Those of the settings that `train` uses.
        dataset: Dataset id.
        bootstrap: How groups are resampled, the same for both.

    Returns:
        `n_test`, `n_groups`, `seeds` (of tuned and default); `test` (sign-flip over groups, exact),
        `tuned_better` and `default_better` (groups), `p_value`; and for each of `SCORES` `{tuned, default,
        difference, low, high}`, the difference tuned − default with its paired interval.

    Raises:
        UserError: Both are not on the same images.
    """
    a, b = bootstrap.measure(tuned, dataset), bootstrap.measure(default, dataset)
    moved = right_differences(a.predictions, b.predictions)
    units, n_units = a.predictions.units()
    test = sign_flip(moved, units)
    points = {score: a.point(score) - b.point(score) for score in SCORES}
    # Equal units and an equal seed: both were resampled alike.
    resampled = {score: a.resampled[score] - b.resampled[score] for score in SCORES}
    intervals = difference_intervals(
        a.predictions, b.predictions, points, resampled, confidence=bootstrap.confidence
    )
    return {
        "n_test": len(a.predictions.images),
        "n_groups": n_units,
        "seeds": {"tuned": len(a.predictions.seeds), "default": len(b.predictions.seeds)},
        "test": test.name,
        "tuned_better": test.better,
        "default_better": test.worse,
        "p_value": test.p_value,
        "differences": {
            score: figures(
                tuned=a.point(score),
                default=b.point(score),
                difference=points[score],
                low=intervals[score][0],
                high=intervals[score][1],
            )
            for score in SCORES
        },
    }
