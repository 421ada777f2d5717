"""Two classifiers on the same test images: tests of no difference, and intervals of the difference.

Several seeds are several trainings of one classifier, not several test sets. Their predictions are averaged
image by image before anything is tested, so that the number of observations stays that of the images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from lung_attention.errors import UserError
from lung_attention.evaluation.bounds import proportion_interval
from lung_attention.evaluation.intervals import percentile_interval
from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import Floats, Integers


@dataclass(frozen=True)
class PairedTest:
    """A test of the hypothesis that two classifiers A and B are equally often right.

    Attributes:
        name: `mcnemar` or `sign_flip`.
        better: Clusters (images; groups for `sign_flip`) on which A is more often right than B.
        worse: Clusters on which it is the other way round.
        p_value: Two-sided, exact.
    """

    name: str
    better: int
    worse: int
    p_value: float


def check_paired(a: Predictions, b: Predictions) -> None:
    """Makes sure that two sets of predictions are on the same images.

    Raises:
        UserError: They have other images, labels, groups or classes.
    """
    for what in ("classes", "images", "labels", "groups"):
        if not np.array_equal(getattr(a, what), getattr(b, what)):
            raise UserError(
                f"Predictions to be compared differ in their {what}.",
                remedy="make both anew from the same split with: dvc repro",
            )


def right_differences(a: Predictions, b: Predictions) -> Integers:
    """How much more often A is right than B, image by image, over all their seeds.

    Args:
        a: `s` seeds.
        b: `t` seeds.

    Returns:
        `(n,)` int in −st..st: the difference of the two fractions of seeds that are right, times st.
    """
    check_paired(a, b)
    return np.asarray(a.right.sum(axis=0) * len(b.seeds) - b.right.sum(axis=0) * len(a.seeds), dtype=np.int64)


def mcnemar(differences: NDArray[np.integer]) -> PairedTest:
    """McNemar's exact test; with several seeds the exact sign test that it is a case of.

    An image counts for A if A is right there in a larger fraction of its seeds. If the classifiers are
    exchangeable an image that counts for one counts for either with probability 1/2. With one seed these
    are the discordant images, and the test is McNemar's.

    Args:
        differences: `(n,)` int from `right_differences`. Images are taken as independent.
    """
    better, worse = int((differences > 0).sum()), int((differences < 0).sum())
    p = binomtest(better, better + worse, 0.5).pvalue if better + worse else 1.0
    return PairedTest("mcnemar", better, worse, float(p))


def sign_flip(differences: NDArray[np.integer], clusters: NDArray[np.integer]) -> PairedTest:
    """Permutation test that swaps the classifiers in whole groups.

    If the classifiers are exchangeable, the sign of each group's summed difference is arbitrary. The
    distribution of the total over all 2^groups sign patterns is found exactly, by convolution, since the
    sums are whole numbers; so there is neither a random number nor a limit to the number of groups.

    Args:
        differences: `(n,)` int from `right_differences`.
        clusters: `(n,)` int, the group of each image.
    """
    of_cluster = np.zeros(int(clusters.max()) + 1, dtype=np.int64)
    np.add.at(of_cluster, clusters, differences)
    moving = of_cluster[of_cluster != 0]
    better, worse = int((moving > 0).sum()), int((moving < 0).sum())
    if moving.size == 0:
        return PairedTest("sign_flip", 0, 0, 1.0)
    # A common factor, such as the number of seeds, would only lengthen the distribution.
    moving = moving // np.gcd.reduce(np.abs(moving))
    # Entry i is the probability that the positive part of the total is i.
    distribution = np.ones(1)
    for size in np.sort(np.abs(moving)):
        longer = np.zeros(len(distribution) + int(size))
        longer[: len(distribution)] = distribution / 2
        longer[int(size) :] += distribution / 2
        distribution = longer
    totals = 2 * np.arange(len(distribution)) - (len(distribution) - 1)
    p = distribution[np.abs(totals) >= abs(int(moving.sum()))].sum()
    return PairedTest("sign_flip", better, worse, min(1.0, float(p)))


def difference_intervals(
    a: Predictions,
    b: Predictions,
    points: dict[str, float],
    resampled: dict[str, Floats],
    *,
    confidence: float,
) -> dict[str, tuple[float, float]]:
    """Intervals of the difference A − B of each score from resamples that both share.

    As with single scores, two classifiers that never disagree in this test set are not proven equal: the
    intervals of accuracy and balanced accuracy are widened by what the numbers of images gained and lost
    allow exactly.

    Args:
        a: Predictions of A.
        b: Predictions of B, on the same images.
        points: The difference of each score.
        resampled: For each score `(resamples,)`, the difference in each resample: `resampled_scores` of A
            minus that of B with the same seed.
        confidence: Such as 0.95.

    Returns:
        Lower and upper bound of each score in `points`.
    """
    intervals = {
        name: percentile_interval(resampled[name], point, confidence=confidence)
        for name, point in points.items()
    }
    differences = right_differences(a, b) / (len(a.seeds) * len(b.seeds))
    codes, _ = a.clusters()
    every = np.ones(len(codes), dtype=bool)
    strata = {
        "accuracy": [every],
        "balanced_accuracy": [a.labels == k for k in range(len(a.classes))],
    }
    for name, parts in strata.items():
        if name not in points or math.isnan(points[name]):
            continue
        reach = [_reach(differences[part], codes[part], confidence=confidence) for part in parts]
        below = math.hypot(*(down for down, _ in reach)) / len(parts)
        above = math.hypot(*(up for _, up in reach)) / len(parts)
        low, high = intervals[name]
        intervals[name] = (min(low, points[name] - below), max(high, points[name] + above))
    return intervals


def _reach(differences: Floats, clusters: Integers, *, confidence: float) -> tuple[float, float]:
    """How far below and above a mean difference its interval reaches: images gained minus images lost.

    Each of both fractions has its exact interval, combined as in Zou and Donner (2008).
    """
    down, up = [], []
    for values in (np.maximum(differences, 0), np.maximum(-differences, 0)):
        mean = float(values.mean())
        low, high = _mean_interval(values, mean, clusters, confidence=confidence)
        down.append(mean - low)
        up.append(high - mean)
    return math.hypot(down[0], up[1]), math.hypot(up[0], down[1])


def _mean_interval(
    values: Floats, mean: float, clusters: Integers, *, confidence: float
) -> tuple[float, float]:
    """`proportion_interval` of `(n,)` values in 0..1 with the linearised deviation of a clustered mean."""
    _, codes = np.unique(clusters, return_inverse=True)
    residuals = np.bincount(codes, weights=values - mean)
    return proportion_interval(
        mean,
        float(np.sqrt((residuals**2).sum())) / len(values),
        n_clusters=len(residuals),
        n_images=len(values),
        confidence=confidence,
    )
