"""Bounds from formulas, for scores so near perfection that resampling shows no spread, or too little.

Images of a cluster are not independent, so every formula is given an effective number of clusters or images.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import beta, norm

_FEW_CLUSTERS = 5  # below which the correlation within clusters cannot be estimated


def effective_size(clusters: NDArray[np.integer]) -> float:
    """Effective number of clusters of unequal size, (Σ w)² / Σ w² (Kish 1965, *Survey Sampling*, 11.7).

    Args:
        clusters: `(n,)` int, the cluster of each image.

    Returns:
        The number of equal clusters that would tell as much if the images of a cluster were all alike; 0 for
        no image.
    """
    sizes = np.unique(clusters, return_counts=True)[1].astype(np.float64)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.size else 0.0


def binomial_interval(successes: float, trials: float, *, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's exact interval of a proportion; the counts may be fractions."""
    tail = (1 - confidence) / 2
    failures = trials - successes
    low = 0.0 if successes <= 0 else float(beta.ppf(tail, successes, failures + 1))
    high = 1.0 if failures <= 0 else float(beta.ppf(1 - tail, successes + 1, failures))
    return low, high


def proportion_interval(
    proportion: float, deviation: float, *, n_clusters: int, n_images: int, confidence: float
) -> tuple[float, float]:
    """Exact binomial interval at the effective sample size of clustered images (Korn and Graubard 1998).

    The effective size is that of independent images with the same variance, p(1 − p) / deviation². Errors in
    few clusters say little about that variance, none nothing. So one cluster of average size is imagined to
    be wrong in addition, with a weight that fades as more clusters than about five are in error. With
    independent images the effective size is n all along; without any error it is the number of clusters.

    Args:
        proportion: The proportion, 0..1 (a mean over images, and seeds).
        deviation: Its bootstrap standard deviation.
        n_clusters: Clusters resampled.
        n_images: Images; the effective size is at most this, since seeds add no images.
        confidence: Such as 0.95.

    Returns:
        Lower and upper bound, containing `proportion`.
    """
    rarer = min(proportion, 1 - proportion)
    in_error = (
        rarer**2 / deviation**2 if deviation > 0 else 0.0
    )  # independent clusters, for a small proportion
    imagined = 1 / (1 + (in_error / _FEW_CLUSTERS) ** 2)
    rarer += imagined / n_clusters
    variance = deviation**2 + imagined / n_clusters**2
    effective = min(max(rarer * (1 - rarer) / variance, 1.0), float(n_images))
    low, high = binomial_interval(proportion * effective, effective, confidence=confidence)
    return min(low, proportion), max(high, proportion)


def perfect_proportion(clusters: NDArray[np.integer], *, confidence: float) -> float:
    """Lower bound of a proportion of 1, Clopper and Pearson's at the effective number of clusters.

    Args:
        clusters: `(n,)` int, the cluster of each image that it is a proportion of.
        confidence: Such as 0.95, of the two-sided interval.
    """
    # Equal clusters leave `proportion_interval` one less than there are: the imagined one is in error.
    size = max(1.0, min(effective_size(clusters), len(np.unique(clusters)) - 1))
    return binomial_interval(size, size, confidence=confidence)[0]


def area_variance(area: float, positives: float, negatives: float) -> float:
    """Variance of an area under the ROC curve, Hanley and McNeil's with Newcombe's smoothing.

    Hanley and McNeil (1982, *Radiology* 143:29) take the probabilities of both classes for exponentially
    distributed. Newcombe (2006, *Statistics in Medicine* 25:559, method 5) puts (m + n)/2 − 1 in place of
    both m − 1 and n − 1, which makes it symmetric and its interval the best of those he compares.

    Args:
        area: 0..1.
        positives: Number m of independent images of the class, at least 1.
        negatives: Number n of independent images of other classes, at least 1.
    """
    return area * (1 - area) * _relative_variance(area, positives, negatives)


def perfect_area(positives: float, negatives: float, *, confidence: float) -> float:
    """Lower bound of an area of 1 under the ROC curve, as in Wilson's interval of a proportion.

    The bound is the area θ from which 1 is just z standard errors away: (1 − θ)² = z² V(θ), V from
    `area_variance` (Newcombe 2006, method 5). With m = n it is near 1 − z² / 2m.

    Args:
        positives: Effective number of clusters with images of the class.
        negatives: Effective number of clusters with images of others.
        confidence: Such as 0.95, of the two-sided interval.

    Returns:
        The bound, 0..1; 0 where a class has no image.
    """
    if positives <= 0 or negatives <= 0:
        return 0.0
    m, n = max(positives, 1.0), max(negatives, 1.0)
    z_squared = float(norm.ppf((1 + confidence) / 2)) ** 2
    # Both sides of the equation divided by 1 − θ, which leaves one root.
    return float(brentq(lambda area: 1 - area - z_squared * area * _relative_variance(area, m, n), 0, 1))


def _relative_variance(area: float, m: float, n: float) -> float:
    """V(θ) / θ (1 − θ) of `area_variance`."""
    return (1 + ((m + n) / 2 - 1) * ((1 - area) / (2 - area) + area / (1 + area))) / (m * n)


def exponential_average_precision(area: float, share: float) -> float:
    """Average precision of a class whose ROC curve is that of exponential scores, as in `area_variance`.

    There the sensitivity is u = f^((1 − θ) / θ) at the false positive rate f, so that the precision is
    1 / (1 + u^(θ / (1 − θ) − 1) (1 − π) / π), π being the share of the class; average precision is its mean
    over u in 0..1. At θ = 1/2 that is π, as it has to be.

    Args:
        area: θ, the area under the curve, 0..1.
        share: π, above 0 and below 1.
    """
    if area >= 1:
        return 1.0
    if area <= 0:
        return 0.0
    log_odds, power = math.log(share / (1 - share)), area / (1 - area) - 1
    return float(quad(lambda u: expit(log_odds - power * math.log(u)), 0, 1)[0])


def perfect_scores(
    labels: NDArray[np.integer], clusters: NDArray[np.integer], *, classes: int, confidence: float
) -> dict[str, float]:
    """Lower bounds that scores would have if they were perfect, by name.

    Those of macro F1 and MCC are what errors of the least balanced accuracy, alike in all classes, leave of
    them; that of average precision is what the least areas under the ROC curves leave of it.

    Args:
        labels: `(n,)` int in 0..classes-1.
        clusters: `(n,)` int, the cluster of each image.
        classes: Number of classes, 2 or more.
        confidence: Such as 0.95, of the two-sided interval.

    Returns:
        Of mcc, macro_f1, auroc_ovr, auroc_ovo and average_precision; where a class is absent of mcc alone,
        as the others are undefined.
    """
    own = [clusters[labels == k] for k in range(classes)]
    # MCC of equal classes with error rate e is 1 - e c/(c-1).
    scale = classes / (classes - 1)
    if any(len(of_class) == 0 for of_class in own):
        return {"mcc": 1 - scale * (1 - perfect_proportion(clusters, confidence=confidence))}
    reaches = [1 - perfect_proportion(of_class, confidence=confidence) for of_class in own]
    reach = math.hypot(*reaches) / classes
    sizes = [effective_size(of_class) for of_class in own]
    others = [effective_size(clusters[labels != k]) for k in range(classes)]
    areas = [perfect_area(m, n, confidence=confidence) for m, n in zip(sizes, others, strict=True)]
    pairs = [perfect_area(m, n, confidence=confidence) for m, n in itertools.combinations(sizes, 2)]
    precisions = [
        exponential_average_precision(area, float((labels == k).mean())) for k, area in enumerate(areas)
    ]
    # The areas of several classes are not independent. Taken for the same one, their bounds are averaged.
    return {
        "macro_f1": 1 - reach,
        "mcc": 1 - scale * reach,
        "auroc_ovr": float(np.mean(areas)),
        "auroc_ovo": float(np.mean(pairs)),
        "average_precision": float(np.mean(precisions)),
    }
