"""Sets of classes that hold the true one with a stated probability, for images of groups never seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def set_threshold(truth: Floats, groups: NDArray[np.int64], *, coverage: float) -> float:
    """The probability from which on a class belongs to the set.

    Split conformal prediction with 1 - p as score (Sadinle, Lei, Wasserman: "Least ambiguous set-valued
    classifiers with bounded error levels", JASA 2019). Images of one group are no independent ones, so each
    of G groups has the weight 1 / (G + 1), spread over its images, and the group to come has the rest
    ("pooling CDFs" of Dunn, Wasserman, Ramdas: "Distribution-free prediction sets for two-layer hierarchical
    models", JASA 2023). It holds on average over groups as exchangeable as those given.

    Args:
        truth: The probability of the true class of each image, by a model that has not seen its group.
        groups: The number of the group of each image.
        coverage: Such as 0.9.

    Returns:
        The threshold; 0, which lets every class in, where there are too few groups for the coverage.

    Raises:
        ValueError: Shapes differ, or there is no image.
    """
    if truth.shape != groups.shape or truth.ndim != 1 or not truth.size:
        raise ValueError(f"Expected equal shapes (n,), n > 0. Received: {truth.shape} and {groups.shape}")
    _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    weights = 1 / (counts[codes] * (len(counts) + 1))
    order = np.argsort(-truth, kind="stable")
    reached = np.cumsum(weights[order])
    # A sum of many equal weights may end a rounding error below what it is.
    place = int(np.searchsorted(reached, coverage - 1e-9))
    return 0.0 if place == len(order) else float(truth[order][place])


def prediction_sets(probabilities: Floats, threshold: float) -> NDArray[np.bool_]:
    """Which classes belong to the sets.

    Args:
        probabilities: `(n, classes)`.
        threshold: Of `set_threshold`.

    Returns:
        `(n, classes)`; the most probable class always belongs to the set, which only adds to the coverage.
    """
    members = probabilities >= threshold
    members[np.arange(len(members)), probabilities.argmax(axis=1)] = True
    return members


def covered(
    probabilities: Floats, labels: NDArray[np.int64], groups: NDArray[np.int64], *, coverage: float
) -> tuple[float, float]:
    """The coverage of sets whose threshold was found on other groups, and how many classes they hold.

    Args:
        probabilities: `(n, classes)`, by models that have not seen the image's group.
        labels: The number of the true class of each image.
        groups: The number of the group of each image.
        coverage: That was asked for.

    Returns:
        The share of images whose set holds the true class, and the mean number of classes of a set. Groups
        are taken in five parts, each measured with the threshold of the others; each group counts the same.
    """
    truth = probabilities[np.arange(len(labels)), labels]
    names, codes = np.unique(groups, return_inverse=True)
    part = np.random.default_rng(0).permutation(len(names))[codes] % 5
    held, sizes = np.empty(len(labels)), np.empty(len(labels))
    for number in np.unique(part):
        here = part == number
        threshold = set_threshold(truth[~here], groups[~here], coverage=coverage) if not here.all() else 0.0
        members = prediction_sets(probabilities[here], threshold)
        held[here], sizes[here] = members[np.arange(here.sum()), labels[here]], members.sum(axis=1)
    weights = 1 / np.bincount(codes)[codes]
    return float(np.average(held, weights=weights)), float(np.average(sizes, weights=weights))
