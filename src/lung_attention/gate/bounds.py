"""What the number of test images allows to say: bounds of the gains, and the loss that would have been found.

Would other test images show a loss, too? That is asked of a bootstrap over clusters.

Clusters are drawn alike on both sides. An AUROC is a sum over pairs of images; its resamples are linearised
with the structural components of DeLong, DeLong and Clarke-Pearson (1988, *Biometrics* 44:837): each image's
place among the images of the other classes, which are left as they are. That costs a matrix product in place
of sorting, and differs from exact resamples in the second order of 1 / clusters.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from scipy.stats import norm

from lung_attention.evaluation.intervals import multiplicities, percentile_interval
from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import Floats, ratio
from lung_attention.gate.chance import Chance, cluster_balanced_accuracy
from lung_attention.gate.contributions import cluster_sums, placement, ranked_classes
from lung_attention.gate.pairing import Pair
from lung_attention.gate.scores import DECIDING, SIGNS, weighted_scores


def upper_bounds(pair: Pair, gains: Floats, chance: Chance) -> Floats:
    """One-sided upper bound of each gain, from paired resamples of the clusters.

    Args:
        pair: Candidate and reference.
        gains: `(4,)`, in the order of `DECIDING`.
        chance: Resamples, confidence and seed.

    Returns:
        `(4,)` percentiles at `chance.confidence`, at least the gains themselves.
    """
    resampled = resampled_gains(pair, chance)
    both_sides = 2 * chance.confidence - 1
    return np.asarray(
        [
            percentile_interval(resampled[name], float(gain), confidence=both_sides)[1]
            for name, gain in zip(DECIDING, gains, strict=True)
        ]
    )


def resampled_gains(pair: Pair, chance: Chance) -> dict[str, Floats]:
    """Of each score of `DECIDING` `(resamples,)` gains, means over pairs of seeds; NaN where undefined."""
    _, n_clusters = pair.candidate.clusters()
    weights = _resamples(n_clusters, chance.resamples, chance.seed)
    ours, theirs = (
        [scores(weights) for scores in weighted_scores(side, rank=False)]
        for side in (pair.candidate, pair.reference)
    )
    resampled = {
        name: SIGNS[name] * np.mean([a[name] - b[name] for a, b in zip(ours, theirs, strict=True)], axis=0)
        for name in DECIDING
        if name != "auroc_ovr"
    }
    areas = [area_components(side) for side in (pair.candidate, pair.reference)]
    moved = np.mean(areas[0] - areas[1], axis=0)
    return resampled | {"auroc_ovr": _resampled_areas(moved, pair.candidate, weights)}


def area_components(predictions: Predictions) -> Floats:
    """The structural components of the area of each class against the rest.

    Returns:
        `(s, classes, n)` in 0..1: for an image of the class the fraction of the others that have a lower
        probability of it, for another image the fraction of the class that has a higher one; ties count half.
    """
    labels = predictions.labels
    ranked = ranked_classes(len(predictions.classes))
    components = np.empty((len(predictions.seeds), len(ranked), len(labels)))
    for of_seed, probabilities in zip(components, predictions.probabilities, strict=True):
        for of_class, k in zip(of_seed, ranked, strict=True):
            own, score = labels == k, probabilities[:, k]
            of_class[own] = placement(score[own], score[~own])
            of_class[~own] = 1 - placement(score[~own], score[own])
    return components


def _resampled_areas(moved: Floats, predictions: Predictions, weights: Floats) -> Floats:
    """`(b,)` differences of AUROC for `(classes, n)` differences of components, `(clusters, b)` weights."""
    codes, n_clusters = predictions.clusters()
    ranked = ranked_classes(len(predictions.classes))
    sides = [predictions.labels == k for k in ranked] + [predictions.labels != k for k in ranked]
    values = np.concatenate([moved, moved]) * sides
    # One product for all, as the weights are what takes time to read.
    rows = cluster_sums(np.concatenate([values, np.asarray(sides, dtype=np.float64)]), codes, n_clusters)
    sums, counts = np.split(rows @ weights, 2)
    means = ratio(sums, counts)
    exact = [of_class[side].mean() for of_class, side in zip(moved, sides, strict=False)]
    return np.asarray(means.sum(axis=0) / len(ranked) - np.mean(exact))


def detectable_loss(
    pair: Pair, *, margin: float, training_sd: float, error: float, power: float
) -> float:  # fmt: skip
    """The loss of balanced accuracy that would be called a regression with the wanted power.

    A normal approximation. A loss L moves L / w groups beside those that differ anyway, w being what a moved
    group weighs: as it was seen, at least as much as one image does on average. So the difference has the
    variance V + L w + 2 sd² / s, V as in `chance.seed_excess`, s pairs of seeds. L is the root of
    L² = (z_error + z_power)² variance, and large enough to pass the margin with that power. The other scores
    are not looked at: some find a loss sooner, and that four are looked at makes each find it a little later.

    Args:
        pair: Candidate and reference.
        margin: Smaller losses of balanced accuracy are none.
        training_sd: Of the balanced accuracy of one training.
        error: One-sided, with which the test is made: Bonferroni's, the worst case of Holm's method.
        power: Such as 0.8.

    Returns:
        The loss, 0..1. 1 means that not even a total loss would be sure to be detected.
    """
    ours, theirs = cluster_balanced_accuracy(pair.candidate), cluster_balanced_accuracy(pair.reference)
    seeds, moved = len(ours), np.abs(ours - theirs)
    variance = float((moved**2).sum()) / seeds**2 + 2 * training_sd**2 / seeds
    weight = float(np.mean(1 / np.bincount(pair.candidate.labels))) / len(pair.candidate.classes)
    if moved.any():
        weight = max(weight, float((moved**2).sum() / moved.sum()))
    z_power = float(norm.ppf(power))
    z = float(norm.isf(error)) + z_power
    weight /= seeds
    loss = (z**2 * weight + math.sqrt(z**4 * weight**2 + 4 * z**2 * variance)) / 2
    beyond_margin = margin + z_power * math.sqrt(variance + loss * weight)
    return min(1.0, max(loss, beyond_margin))


@functools.lru_cache(maxsize=8)
def _resamples(n_clusters: int, resamples: int, seed: int) -> Floats:
    """`(n_clusters, resamples)` multiplicities; cells of one test set share them."""
    return np.concatenate(list(multiplicities(n_clusters, resamples=resamples, seed=seed)), axis=1)
