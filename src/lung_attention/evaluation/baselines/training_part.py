"""What a baseline may know of the training part of a fold, and how it chooses among candidates there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from lung_attention.evaluation.baselines.settings import BaselineSettings

Rows = NDArray[np.intp]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """The labels of the training images of a fold, and the settings; nothing of its test images.

    Attributes:
        labels: `(n,)` int, in [0, n_classes).
        clusters: `(n,)` int, equal within a group; an image without known group is alone in its own.
        n_classes: Number of classes.
        settings: Of the baselines.
    """

    labels: NDArray[np.int64]
    clusters: NDArray[np.int64]
    n_classes: int
    settings: BaselineSettings

    def of(self, rows: Rows) -> Training:
        """The same of some of its images."""
        return replace(self, labels=self.labels[rows], clusters=self.clusters[rows])


@dataclass(frozen=True)
class Predicted:
    """What a baseline predicts.

    Attributes:
        probabilities: `(n_test, n_classes)` float64, rows sum to 1.
        chosen: What was chosen among candidates, by name.
    """

    probabilities: Probabilities
    chosen: dict[str, float] = field(default_factory=dict)


def inner_folds(training: Training) -> list[tuple[Rows, Rows]]:
    """Stratified folds of the training images, in which no group stands on two sides.

    Args:
        training: The training part of a fold.

    Returns:
        Training and test rows of each inner fold. Plain stratified folds where no two images are known to be
        of one group; none at all where a class has a single group, which cannot stand on both sides.
    """
    labels, clusters, settings = training.labels, training.clusters, training.settings
    counts = [len(np.unique(clusters[labels == code])) for code in np.unique(labels)]
    number = min(settings.inner_folds, *counts) if len(counts) > 1 else 0
    if number < 2:
        return []
    alone = len(np.unique(clusters)) == len(clusters)
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(
        n_splits=number, shuffle=True, random_state=settings.seed
    )
    found = splitter.split(np.zeros(len(labels)), labels, groups=None if alone else clusters)
    # Groups of several classes can leave a side with nothing to learn or nothing to predict.
    return [(train, test) for train, test in found if len(test) and len(np.unique(labels[train])) > 1]


def choose(
    candidates: Sequence[Any], training: Training, predict: Callable[[Rows, Rows], Sequence[Probabilities]]
) -> int:
    """Chooses the candidate whose probabilities are best in the inner folds.

    The measure is Brier's (the squared error of all probabilities). Like the log loss it is proper: it sees
    more than which images are right, so that in a few hundred images it is less a matter of luck than the
    accuracy. Unlike the log loss it stays finite where no tree of a forest votes for the true class.

    Args:
        candidates: In order of preference, the simplest first.
        training: The training part of a fold.
        predict: From training and test rows of an inner fold to the probabilities of each candidate.

    Returns:
        The position of the best candidate; of equally good ones, or without inner folds, the first.
    """
    losses = np.zeros(len(candidates))
    truth = np.eye(training.n_classes)[training.labels]
    rounds = inner_folds(training) if len(candidates) > 1 else []
    for train, test in rounds:
        losses += [((found - truth[test]) ** 2).sum() for found in predict(train, test)]
    return int(losses.argmin())


def all_classes(classes: NDArray[np.int64], found: Probabilities, n_classes: int) -> Probabilities:
    """Probabilities of all classes, 0 for those that an estimator has not seen.

    Args:
        classes: `(k,)`, the classes it has seen.
        found: `(n, k)`, their probabilities.
        n_classes: Number of all classes.

    Returns:
        `(n, n_classes)` float64.
    """
    probabilities = np.zeros((len(found), n_classes))
    probabilities[:, classes] = found
    return probabilities
