"""What each cluster adds to the gain of a candidate over its reference.

A permutation test swaps the predictions of candidate and reference in whole clusters. Balanced accuracy and
log loss are sums over images, so that a swap turns the sign of what the swapped clusters add. The same holds
exactly for an area under the ROC curve, though it is a sum over pairs of images: see `auroc_gains`. MCC is no
sum; it comes from the confusion counts of the clusters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import SMALLEST_PROBABILITY, Floats, Integers
from lung_attention.gate.pairing import Pair


def placement(values: Floats, among: Floats) -> Floats:
    """`(n,)`: the fraction of `(m,)` values `among` which each of `(n,)` values lies, ties counting half."""
    ordered = np.sort(among)
    lower = np.searchsorted(ordered, values, side="left")
    return np.asarray((lower + np.searchsorted(ordered, values, side="right")) / (2 * len(ordered)))


def ranked_classes(classes: int) -> range:
    """The classes over whose areas under the ROC curve AUROC is the mean; of two classes the second."""
    return range(1, 2) if classes == 2 else range(classes)


def image_gains(pair: Pair) -> dict[str, Floats]:
    """What each image adds to the gains of the scores that are sums over images.

    Args:
        pair: `s` pairs of seeds, `n` images, each class with an image.

    Returns:
        Of balanced_accuracy, auroc_ovr and log_loss `(s, n)`; a row's sum is that seed's gain.
    """
    labels, n = pair.candidate.labels, len(pair.candidate.labels)
    support = np.bincount(labels, minlength=len(pair.candidate.classes))
    right = pair.candidate.right.astype(np.float64) - pair.reference.right
    ours, theirs = (
        np.log(np.clip(side.probabilities[:, np.arange(n), labels], SMALLEST_PROBABILITY, 1.0))
        for side in (pair.candidate, pair.reference)
    )
    areas = [
        auroc_gains(labels, a, b)
        for a, b in zip(pair.candidate.probabilities, pair.reference.probabilities, strict=True)
    ]
    return {
        "balanced_accuracy": right / (len(support) * support[labels]),
        "auroc_ovr": np.stack(areas),
        "log_loss": (ours - theirs) / n,
    }


def auroc_gains(labels: Integers, ours: Floats, theirs: Floats) -> Floats:
    """What each image adds to the difference of two areas under the ROC curve (one against rest, macro).

    The area of a class is the mean of ψ(x, y) over its images x and the others y: 1 where x has the higher
    probability, ½ where they are equal. After swaps with signs s of the x and t of the y, the candidate's
    area minus the reference's is ½ Σ [(s + t)(ψ_aa − ψ_bb) + (s − t)(ψ_ab − ψ_ba)] / mn, a and b saying whose
    probability x and y have: the products st stand in both areas and cancel. So the difference is linear in
    the signs. An image x of the class adds s (F(x_a) − F(x_b)) / m, F being its place among the probabilities
    that candidate and reference together give to the others; these add likewise, with the sign turned.

    Args:
        labels: `(n,)` int.
        ours: `(n, c)` probabilities of the candidate.
        theirs: `(n, c)` probabilities of the reference.

    Returns:
        `(n,)`; its sum is the difference of the two areas.
    """
    added = np.zeros(len(labels))
    ranked = ranked_classes(ours.shape[1])
    for k in ranked:
        of_class = labels == k
        for rows, sign in ((of_class, 1.0), (~of_class, -1.0)):
            others = np.concatenate([ours[~rows, k], theirs[~rows, k]])
            moved = placement(ours[rows, k], others) - placement(theirs[rows, k], others)
            added[rows] += sign * moved / (rows.sum() * len(ranked))
    return added


def cluster_sums(values: Floats, codes: NDArray[np.integer], n_clusters: int) -> Floats:
    """`(s, n_clusters)` sums of `(s, n)` values over the images of each cluster."""
    return np.stack([np.bincount(codes, weights=row, minlength=n_clusters) for row in values])


def cluster_confusions(
    predictions: Predictions, codes: NDArray[np.integer], n_clusters: int
) -> Floats:  # fmt: skip
    """`(s, c * c, n_clusters)`: of each seed the confusion counts of each cluster, rows are true classes."""
    classes = len(predictions.classes)
    counts = []
    for predicted in predictions.predicted:
        cells = (predictions.labels * classes + predicted) * n_clusters + codes
        flat: Integers = np.bincount(cells, minlength=classes**2 * n_clusters)
        counts.append(flat.reshape(classes**2, n_clusters).astype(np.float64))
    return np.stack(counts)
