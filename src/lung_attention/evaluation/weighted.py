"""Every score as a function of the weights of the test images: what a bootstrap asks for thousands of times.

A resample of the test images is a vector of multiplicities. Scores that come from counts or sums are then
matrix products; areas under curves come from cumulative weights along scores that were sorted once. No
resampled image is ever copied, so time grows with images × resamples and memory stays flat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

COUNT_SCORES = ("accuracy", "balanced_accuracy", "mcc", "macro_f1", "log_loss", "brier", "ece")
RANK_SCORES = ("auroc_ovr", "auroc_ovo", "average_precision")
SCORES = COUNT_SCORES + RANK_SCORES
LOSSES = ("log_loss", "brier", "ece")
"""Scores of which less is better."""

SMALLEST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Probabilities are raised to this before their logarithm, as scikit-learn does for float64."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient that is NaN, silently, where the denominator is 0."""
    result = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=result, where=denominator > 0)
    return result


class WeightedScores:
    """The scores of one set of predictions for any weights of its clusters.

    Args:
        labels: `(n,)` int, true class of each image.
        probabilities: `(n, c)` float in 0..1, a row sums to 1. The predicted class is the first largest.
        clusters: `(n,)` int in 0..n_clusters-1, the cluster (image, patient, source tile) to which an image
            belongs.
        n_clusters: Number of clusters. Some may have no image here: that serves two test sets resampled
            together.
        bins: Bins of equal width for the expected calibration error.
        rank: Whether the scores from ranks are wanted, which take most of the time.
    """

    def __init__(
        self,
        labels: NDArray[np.integer],
        probabilities: NDArray[np.floating],
        *,
        clusters: NDArray[np.integer],
        n_clusters: int,
        bins: int,
        rank: bool,
    ) -> None:
        truth = np.asarray(labels, dtype=np.int64)
        p = np.asarray(probabilities, dtype=np.float64)
        n, self._classes = p.shape
        if truth.shape != (n,) or np.shape(clusters) != (n,):
            raise ValueError(
                f"Expected n labels and n clusters for (n, c) probabilities. Received: {p.shape}"
            )
        self._sums = _sums_per_cluster(truth, p, np.asarray(clusters), n_clusters, bins)
        self._rankings = _rankings(truth, p, np.asarray(clusters)) if rank else None

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Scores for several weightings at once.

        Args:
            weights: `(n_clusters, b)` float, not negative; usually multiplicities.

        Returns:
            For each score `(b,)` float, NaN where it is not defined (see `metrics.scores`).
        """
        c = self._classes
        sums = self._sums @ weights
        confusion = sums[: c * c].reshape(c, c, -1)
        result = confusion_scores(confusion)
        total = confusion.sum(axis=(0, 1))
        result["log_loss"] = ratio(sums[c * c], total)
        result["brier"] = ratio(sums[c * c + 1], total)
        result["ece"] = ratio(np.abs(sums[c * c + 2 :]).sum(axis=0), total)
        if self._rankings is not None:
            result |= _rank_scores(self._rankings, weights)
        return result

    def sensitivities(self, weights: Floats) -> Floats:
        """Sensitivity of each class: `(c, b)` for weights `(n_clusters, b)`; NaN where it is absent."""
        c = self._classes
        confusion = (self._sums[: c * c] @ weights).reshape(c, c, -1)
        return ratio(confusion[np.arange(c), np.arange(c)], confusion.sum(axis=1))


def confusion_scores(confusion: Floats) -> dict[str, Floats]:
    """Scores that need the confusion matrix alone.

    Args:
        confusion: `(c, c, b)` float, counts or weights; rows are true classes.

    Returns:
        accuracy, balanced_accuracy, mcc (Gorodkin's R_K, as scikit-learn) and macro_f1, each `(b,)`.
    """
    c = confusion.shape[0]
    hits = confusion[np.arange(c), np.arange(c)]
    true, predicted, total = confusion.sum(axis=1), confusion.sum(axis=0), confusion.sum(axis=(0, 1))
    present = (true > 0).all(axis=0)
    f1 = np.where(present, ratio(2 * hits, true + predicted).mean(axis=0), np.nan)

    spread_true = total**2 - (true**2).sum(axis=0)
    spread = spread_true * (total**2 - (predicted**2).sum(axis=0))
    mcc = ratio(hits.sum(axis=0) * total - (true * predicted).sum(axis=0), np.sqrt(spread))
    # Only one class predicted: no correlation, 0 by convention. Labels of one class: undefined.
    mcc = np.where((spread == 0) & (spread_true > 0), 0.0, mcc)
    return {
        "accuracy": ratio(hits.sum(axis=0), total),
        "balanced_accuracy": ratio(hits, true).mean(axis=0),
        "mcc": mcc,
        "macro_f1": f1,
    }


def _sums_per_cluster(
    truth: Integers, p: Floats, clusters: NDArray[np.integer], n_clusters: int, bins: int
) -> Floats:
    """`(c*c + 2 + bins, n_clusters)`: of each cluster confusion counts, log loss, Brier, calibration gaps."""
    n, c = p.shape
    predicted = p.argmax(axis=1)
    rows = np.arange(n)
    of_truth = p[rows, truth]
    confidence = p[rows, predicted]
    # (k/bins, (k+1)/bins] as in Guo et al. 2017, "On Calibration of Modern Neural Networks".
    bin_of = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)

    sums = np.zeros((c * c + 2 + bins, n_clusters))
    np.add.at(sums, (truth * c + predicted, clusters), 1.0)
    np.add.at(sums, (c * c, clusters), -np.log(np.clip(of_truth, SMALLEST_PROBABILITY, 1.0)))
    np.add.at(sums, (c * c + 1, clusters), (p**2).sum(axis=1) - 2 * of_truth + 1)
    np.add.at(sums, (c * c + 2 + bin_of, clusters), (predicted == truth) - confidence)
    return sums


class _Ranking:
    """One class against each other class, sorted by the probability of the one.

    Attributes:
        clusters: Clusters of the class's own images, in ascending order of probability.
        first: For each of them the place of the first image of its class with an equal probability.
        others: For each other class: its clusters in ascending order, and for each image of the one class how
            many images of the other have a lower probability, and how many one that is not higher.
    """

    def __init__(self, of_class: int, truth: Integers, p: Floats, clusters: NDArray[np.integer]) -> None:
        score = p[:, of_class]

        def ascending(k: int) -> tuple[Floats, NDArray[np.integer]]:
            mine = np.flatnonzero(truth == k)
            mine = mine[np.argsort(score[mine], kind="stable")]
            return score[mine], clusters[mine]

        own, self.clusters = ascending(of_class)
        self.first = np.searchsorted(own, own, side="left")
        self.others = []
        for k in range(p.shape[1]):
            if k != of_class:
                other, other_clusters = ascending(k)
                lower = np.searchsorted(other, own, side="left")
                not_higher = np.searchsorted(other, own, side="right")
                self.others.append((other_clusters, lower, not_higher))


def _rankings(truth: Integers, p: Floats, clusters: NDArray[np.integer]) -> list[_Ranking]:
    return [_Ranking(k, truth, p, clusters) for k in range(p.shape[1])]


def _cumulative(weights: Floats) -> Floats:
    """`(n + 1, b)`: row i is the weight of the first i images."""
    result = np.zeros((len(weights) + 1, weights.shape[1]))
    np.cumsum(weights, axis=0, out=result[1:])
    return result


def _rank_scores(rankings: list[_Ranking], weights: Floats) -> dict[str, Floats]:
    """AUROC as the weight of rightly ordered pairs (ties half), and average precision."""
    pairwise, against_rest, precision = [], [], []
    for ranking in rankings:
        own = weights[ranking.clusters]
        own_total = own.sum(axis=0)
        # Weight at or above each threshold, of the class itself and of all others.
        hits = own_total - _cumulative(own)[ranking.first]
        alarms = np.zeros_like(hits)
        ordered_pairs = np.zeros_like(own_total)
        pairs = np.zeros_like(own_total)
        for other_clusters, lower, not_higher in ranking.others:
            cumulative = _cumulative(weights[other_clusters])
            below = cumulative[lower]
            alarms += cumulative[-1] - below
            if np.array_equal(lower, not_higher):
                ordered = np.einsum("ij,ij->j", own, below)
            else:
                ordered = np.einsum("ij,ij->j", own, below + cumulative[not_higher]) / 2
            pairwise.append(ratio(ordered, own_total * cumulative[-1]))
            ordered_pairs += ordered
            pairs += own_total * cumulative[-1]
        against_rest.append(ratio(ordered_pairs, pairs))
        # A threshold with no weight at or above it carries no weight itself.
        at_threshold = np.divide(hits, hits + alarms, out=np.zeros_like(hits), where=hits > 0)
        precision.append(ratio(np.einsum("ij,ij->j", own, at_threshold), own_total))
    if len(rankings) == 2:
        # Both directions say the same up to rounding; scikit-learn takes the second class's probability.
        pairwise, against_rest = pairwise[1:], against_rest[1:]
    # As the other macro scores: undefined as soon as one of the classes is absent.
    return {
        "auroc_ovr": np.mean(against_rest, axis=0),
        "auroc_ovo": np.mean(pairwise, axis=0),
        "average_precision": np.mean(precision, axis=0),
    }
