"""How much worse a candidate is than its reference, and whether chance would do as much.

Two kinds of chance stand between a difference and a loss.

- *Other test images.* A bootstrap over groups, resampled alike on both sides, gives the one-sided upper bound
  of each difference.
- *Another training.* Two trainings of the same code with other seeds decide some images otherwise. If nothing
  but chance tells candidate from reference, their predictions may be swapped in any group and any pair of
  seeds: a permutation test, valid for a handful of changed images, where percentiles of a bootstrap are not.
  Beyond that a training can be luckier as a whole, in many groups at once. One pair of trainings cannot show
  this; it enters as a normal deviation of known size (`training_sd`), common to a whole training.

The scores that decide are balanced accuracy and Matthews' correlation; the permutation test looks at the
worse of the two standardised differences, so that looking at both costs no false alarms.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from lung_attention.evaluation.intervals import multiplicities, percentile_interval
from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import Floats, Integers, WeightedScores, confusion_scores
from lung_attention.gate.pairing import Pair

DECIDING = ("balanced_accuracy", "mcc")
SHOWN = (*DECIDING, "log_loss")

_BINS = 1  # calibration is not looked at
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Chance:
    """How chance is drawn and judged.

    Attributes:
        resamples: Of the bootstrap, and swaps of the permutation test.
        confidence: One-sided, such as 0.95.
        power: With which a detectable loss would be detected, such as 0.8.
        seed: Of everything drawn.
    """

    resamples: int
    confidence: float
    power: float
    seed: int


def mean_scores(predictions: Predictions) -> dict[str, float]:
    """The scores of `SHOWN`, means over seeds; NaN where a class has no test image."""
    n = len(predictions.labels)
    every = np.ones((n, 1))
    per_seed = [
        WeightedScores(predictions.labels, p, clusters=np.arange(n), n_clusters=n, bins=_BINS, rank=False)(
            every
        )
        for p in predictions.probabilities
    ]
    return {name: float(np.mean([scores[name][0] for scores in per_seed])) for name in SHOWN}


def score_differences(pair: Pair) -> dict[str, float]:
    """Candidate − reference of each score of `SHOWN`, means over the paired seeds."""
    ours, theirs = mean_scores(pair.candidate), mean_scores(pair.reference)
    return {name: ours[name] - theirs[name] for name in SHOWN}


def upper_bounds(pair: Pair, differences: dict[str, float], chance: Chance) -> dict[str, float]:
    """One-sided upper bound of each deciding difference, from paired resamples of the groups.

    Args:
        pair: Candidate and reference.
        differences: From `score_differences`.
        chance: Resamples, confidence and seed.

    Returns:
        For each score of `DECIDING` the percentile at `chance.confidence`, at least the difference itself.
    """
    codes, n_clusters = pair.candidate.clusters()
    weights = _resamples(n_clusters, chance.resamples, chance.seed)
    ours, theirs = (
        [
            WeightedScores(
                predictions.labels, p, clusters=codes, n_clusters=n_clusters, bins=_BINS, rank=False
            )(weights)
            for p in predictions.probabilities
        ]
        for predictions in (pair.candidate, pair.reference)
    )
    both_sides = 2 * chance.confidence - 1
    bounds = {}
    for name in DECIDING:
        resampled = np.mean([a[name] - b[name] for a, b in zip(ours, theirs, strict=True)], axis=0)
        bounds[name] = percentile_interval(resampled, differences[name], confidence=both_sides)[1]
    return bounds


@functools.lru_cache(maxsize=1)
def _resamples(n_clusters: int, resamples: int, seed: int) -> Floats:
    """`(n_clusters, resamples)` multiplicities; cells of one test set share them."""
    return np.concatenate(list(multiplicities(n_clusters, resamples=resamples, seed=seed)), axis=1)


def swap_p_value(
    pair: Pair, differences: dict[str, float], *, training_sd: float, chance: Chance
) -> float:  # fmt: skip
    """Share of swaps that look at least as bad for the candidate as what was seen.

    Args:
        pair: Candidate and reference.
        differences: From `score_differences`.
        training_sd: Standard deviation of the balanced accuracy of one training, common to all its groups.
        chance: How many swaps, and their seed.

    Returns:
        One-sided p value, at least 1 / (swaps + 1). 1 where no decision differs.
    """
    if pair.decided_alike:
        return 1.0
    random = np.random.default_rng(chance.seed)
    seeds, classes = len(pair.candidate.seeds), len(pair.candidate.classes)
    drawn = {name: np.zeros(chance.resamples) for name in DECIDING}
    for ours, theirs in zip(_unit_counts(pair.candidate), _unit_counts(pair.reference), strict=True):
        middle = (ours + theirs).sum(axis=2) / 2
        half = (ours - theirs).reshape(classes * classes, -1) / 2
        half = half[:, half.any(axis=0)]
        signs = random.integers(2, size=(half.shape[1], chance.resamples)) * 2.0 - 1
        swapped = (half @ signs).reshape(classes, classes, -1)
        better = confusion_scores(middle[..., None] + swapped)
        worse = confusion_scores(middle[..., None] - swapped)
        for name in DECIDING:
            drawn[name] += (better[name] - worse[name]) / seeds
    whole = random.standard_normal(chance.resamples) * math.sqrt(2 / seeds)
    worst, seen = np.zeros(chance.resamples), 0.0
    for name in DECIDING:
        noisy = drawn[name] + whole * training_sd * _scale(name, classes)
        if (spread := float(noisy.std())) > 0:
            worst = np.minimum(worst, noisy / spread)
            seen = min(seen, differences[name] / spread)
    return float((1 + (worst <= seen + _ROUNDING).sum()) / (chance.resamples + 1))


def seed_spread(predictions: Predictions) -> float:
    """How much trainings of one cell differ as a whole, beyond what independent groups explain.

    The squared difference of two seeds' balanced accuracies has the expectation V + 2 sd², where V is the sum
    of squares of what each group contributes to it. Averaged over all pairs of seeds.

    Returns:
        The standard deviation of one training's balanced accuracy; 0 for one seed, or where groups explain
        all of the differences.
    """
    of_cluster = cluster_balanced_accuracy(predictions)
    excess = [
        (a - b).sum() ** 2 - ((a - b) ** 2).sum() for a, b in itertools.combinations(of_cluster, 2)
    ]  # fmt: skip
    return math.sqrt(max(0.0, float(np.mean(excess)) / 2)) if excess else 0.0


def detectable_loss(
    pair: Pair, *, margin: float, training_sd: float, chance: Chance, comparisons: int
) -> float:  # fmt: skip
    """The loss of balanced accuracy that would be called a regression with the wanted power.

    A normal approximation. A loss L moves L / w groups beside those that differ anyway, w being what a moved
    group weighs: as it was seen, at least as much as one image does on average. So the difference has the
    variance V + L w + 2 sd² / s, V as in `seed_spread`, s pairs of seeds. L is the root of
    L² = (z_alpha + z_power)² variance, and large enough to pass the margin with that power. MCC is not
    looked at, which finds some losses sooner.

    Args:
        pair: Candidate and reference.
        margin: Smaller losses are none.
        training_sd: See `swap_p_value`.
        chance: Confidence and power.
        comparisons: Among how many Holm's method has to find it; the worst case, Bonferroni's, is taken.

    Returns:
        The loss, 0..1. 1 means that not even a total loss would be sure to be detected.
    """
    ours, theirs = cluster_balanced_accuracy(pair.candidate), cluster_balanced_accuracy(pair.reference)
    seeds, moved = len(ours), np.abs(ours - theirs)
    variance = float((moved**2).sum()) / seeds**2 + 2 * training_sd**2 / seeds
    weight = float(np.mean(1 / np.bincount(pair.candidate.labels))) / len(pair.candidate.classes)
    if moved.any():
        weight = max(weight, float((moved**2).sum() / moved.sum()))
    z_power = float(norm.ppf(chance.power))
    z = float(norm.isf((1 - chance.confidence) / comparisons)) + z_power
    weight /= seeds
    loss = (z**2 * weight + math.sqrt(z**4 * weight**2 + 4 * z**2 * variance)) / 2
    beyond_margin = margin + z_power * math.sqrt(variance + loss * weight)
    return min(1.0, max(loss, beyond_margin))


def _scale(name: str, classes: int) -> float:
    """How far a score falls when the balanced accuracy falls by 1: for MCC of equal classes c / (c − 1)."""
    return classes / (classes - 1) if name == "mcc" else 1.0


def _unit_counts(predictions: Predictions) -> Sequence[Floats]:
    """For each seed the confusion counts of each cluster, `(c, c, clusters)`."""
    codes, n_clusters = predictions.clusters()
    classes = len(predictions.classes)
    counts = []
    for predicted in predictions.predicted:
        cells = (predictions.labels * classes + predicted) * n_clusters + codes
        flat: Integers = np.bincount(cells, minlength=classes**2 * n_clusters)
        counts.append(flat.reshape(classes, classes, n_clusters).astype(np.float64))
    return counts


def cluster_balanced_accuracy(predictions: Predictions) -> Floats:
    """`(s, clusters)`: what each cluster adds to the balanced accuracy of each seed."""
    codes, n_clusters = predictions.clusters()
    support = np.bincount(predictions.labels, minlength=len(predictions.classes))
    weights = 1 / (len(support) * support[predictions.labels])
    return np.stack(
        [np.bincount(codes, weights=weights * right, minlength=n_clusters) for right in predictions.right]
    )
