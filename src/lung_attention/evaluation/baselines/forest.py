"""Baselines from histograms: a random forest on the values of all pixels, or of those of a region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from lung_attention.evaluation.baselines.training_part import (
    Predicted,
    Probabilities,
    Rows,
    Training,
    all_classes,
    choose,
)
from lung_attention.images.regions import histograms


def histogram_forest(train: NDArray[np.uint16], test: NDArray[np.uint16], training: Training) -> Predicted:
    """Predicts from histograms with a random forest: brightness and colour, but no position.

    Args:
        train: `(n_train, channels, 256)`, uint16, the counted values (see `images.regions.value_counts`).
        test: `(n_test, channels, 256)`, uint16, the same of the test images.
        training: The training part.

    Returns:
        The mean of the trees' leaves, 0 where no tree has a class; with the bins of a channel that the inner
        folds chose. Images of which no pixel was counted look alike, and get the class shares of such
        training images. How many pixels were counted is the last thing the forest sees of an image.
    """
    candidates = training.settings.histogram_bins

    def of_each(rows: Rows, others: Rows) -> list[Probabilities]:
        labels = training.labels[rows]
        return [_forest(train[rows], labels, train[others], training, bins) for bins in candidates]

    bins = candidates[choose(candidates, training, of_each)]
    return Predicted(_forest(train, training.labels, test, training, bins), {"bins": bins})


def _forest(
    train: NDArray[np.uint16],
    labels: NDArray[np.int64],
    test: NDArray[np.uint16],
    training: Training,
    bins: int,
) -> Probabilities:
    forest = RandomForestClassifier(
        n_estimators=training.settings.trees, random_state=training.settings.seed
    ).fit(_seen(train, bins), labels)
    return all_classes(forest.classes_, forest.predict_proba(_seen(test, bins)), training.n_classes)


def _seen(counts: NDArray[np.uint16], bins: int) -> NDArray[np.float32]:
    """Histograms, and behind them the number of counted pixels."""
    pixels = counts[:, 0].sum(axis=1, dtype=np.int64)
    return np.column_stack([histograms(counts, bins=bins), pixels.astype(np.float32)])
