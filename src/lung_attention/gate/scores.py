"""The scores that decide: balanced accuracy, Matthews' correlation, AUROC and log loss.

Of log loss less is better. A *gain* is a difference candidate − reference, its sign turned for log loss, so
that a loss is a negative gain whatever the score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from lung_attention.errors import UserError
from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import LOSSES, Floats, WeightedScores
from lung_attention.gate.pairing import Pair

DECIDING = ("balanced_accuracy", "mcc", "auroc_ovr", "log_loss")
TITLES = {
    "balanced_accuracy": "balanced accuracy",
    "mcc": "MCC",
    "auroc_ovr": "AUROC",
    "log_loss": "log loss",
}
SIGNS = {name: -1.0 if name in LOSSES else 1.0 for name in DECIDING}
"""What a difference is multiplied with to be a gain."""

_BINS = 1  # calibration is not looked at


def weighted_scores(
    predictions: Predictions, *, rank: bool, by_image: bool = False
) -> list[WeightedScores]:  # fmt: skip
    """The scores of each seed as functions of weights.

    Args:
        predictions: Of one cell.
        rank: Whether AUROC is wanted.
        by_image: Whether each image has a weight of its own; else each cluster.
    """
    if by_image:
        codes, n_clusters = np.arange(len(predictions.labels)), len(predictions.labels)
    else:
        codes, n_clusters = predictions.clusters()
    return [
        WeightedScores(predictions.labels, p, clusters=codes, n_clusters=n_clusters, bins=_BINS, rank=rank)
        for p in predictions.probabilities
    ]


def mean_scores(predictions: Predictions) -> dict[str, float]:
    """The scores of `DECIDING`, means over seeds; NaN where a class has no test image."""
    every = np.ones((len(predictions.labels), 1))
    per_seed = [scores(every) for scores in weighted_scores(predictions, rank=True, by_image=True)]
    return {name: float(np.mean([scores[name][0] for scores in per_seed])) for name in DECIDING}


def score_differences(pair: Pair) -> dict[str, float]:
    """Candidate − reference of each score of `DECIDING`, means over the paired seeds."""
    return differences_of(mean_scores(pair.candidate), mean_scores(pair.reference))


def differences_of(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, float]:
    """Candidate − reference of each score of `DECIDING`."""
    return {name: ours[name] - theirs[name] for name in DECIDING}


def gains(differences: Mapping[str, float]) -> Floats:
    """`(4,)`, in the order of `DECIDING`: differences with their signs turned where less is better."""
    return np.asarray([SIGNS[name] * differences[name] for name in DECIDING])


def with_margins(margins: Mapping[str, float], given: Sequence[str]) -> dict[str, float]:
    """Margins, with those in place of some that an option gives as `score=value`.

    Raises:
        UserError: There is no such score, or the value is no number that is not negative.
    """
    changed = dict(margins)
    for text in given:
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name not in margins or not 0 <= number < math.inf:
            raise UserError(
                f"--margin: expected SCORE=LOSS, a score of {list(margins)} and a loss of 0 or more, "
                f"received {text!r}",
                remedy="--margin balanced_accuracy=0.02 mcc=0.04",
            )
        changed[name] = number
    return changed
