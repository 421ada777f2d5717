"""Two cells on the same images, one of them changed: attention against plain, found settings or default."""

from __future__ import annotations

from typing import Any

from lung_attention.evaluation.measured import Measured, defined
from lung_attention.evaluation.paired_tests import difference_intervals, mcnemar, right_differences, sign_flip

SCORES = ("accuracy", "balanced_accuracy", "mcc", "auroc_ovr", "log_loss")


def compare_pair(
    changed: Measured, base: Measured, *, names: tuple[str, str], grouped: bool, confidence: float
) -> dict[str, Any]:
    """Measures what a change gained or lost on the same test images.

    Args:
        changed: The predictions of the changed cell, measured.
        base: Those of the cell it is held against, resampled alike.
        names: What the two are called in the keys, such as `("attention", "plain")`.
        grouped: Whether images of a group are tested together: by sign-flip over groups, else by McNemar's
            test over images.
        confidence: Of the intervals, such as 0.95.

    Returns:
        `n_test`, `n_groups` (clusters resampled), `seeds` (how many of each name), `test`, `<name>_better` of
        each name (images or groups), `p_value`, and `differences`: for each of `SCORES` the point of each
        name and `difference`, `low`, `high`, changed − base with its paired interval.

    Raises:
        UserError: Both are not on the same images.
    """
    a, b = changed.predictions, base.predictions
    moved = right_differences(a, b)
    clusters, n_clusters = a.clusters()
    test = sign_flip(moved, clusters) if grouped else mcnemar(moved)
    points = {score: changed.point(score) - base.point(score) for score in SCORES}
    # Equal clusters and an equal seed: both were resampled alike.
    resampled = {score: changed.resampled[score] - base.resampled[score] for score in SCORES}
    intervals = difference_intervals(a, b, points, resampled, confidence=confidence)
    ours, theirs = names
    return {
        "n_test": len(a.images),
        "n_groups": n_clusters,
        "seeds": {ours: len(a.seeds), theirs: len(b.seeds)},
        "test": test.name,
        f"{ours}_better": test.better,
        f"{theirs}_better": test.worse,
        "p_value": test.p_value,
        "differences": {
            score: defined(
                **{ours: changed.point(score), theirs: base.point(score)},
                difference=points[score],
                low=intervals[score][0],
                high=intervals[score][1],
            )
            for score in SCORES
        },
    }
