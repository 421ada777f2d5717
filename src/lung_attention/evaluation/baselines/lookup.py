"""Baselines that look up: the class shares, the most alike image, the images of the same size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lung_attention.evaluation.baselines.training_part import Predicted, Probabilities, Training
from lung_attention.images.similarity import nearest


def shares(training: Training) -> Probabilities:
    """Share of each class among the training images, `(n_classes,)`."""
    return np.bincount(training.labels, minlength=training.n_classes) / len(training.labels)


def majority(train: NDArray[np.int64], test: NDArray[np.int64], training: Training) -> Predicted:
    """Gives every test image the class shares of the training images.

    Args:
        train: Anything of the training images; not looked at.
        test: `(n_test, …)`, anything of the test images; only counted.
        training: The training part.

    Returns:
        The most probable class is the majority class.
    """
    return Predicted(np.tile(shares(training), (len(test), 1)))


def nearest_neighbour(train: NDArray[np.float32], test: NDArray[np.float32], training: Training) -> Predicted:
    """Gives every test image the class of the training image that looks most like it.

    Args:
        train: `(n_train, d)`, float32, rows of length 1 (see `images.similarity.unit_vectors`).
        test: `(n_test, d)`, float32, the same of the test images.
        training: The training part.

    Returns:
        One neighbour is one observation; it is averaged with one pseudo-observation that has the class
        shares of the training images, so that a wrong answer has a finite log loss. The neighbour's class
        stays the most probable one.
    """
    observed = np.eye(training.n_classes)[training.labels[nearest(test, train)]]
    return Predicted(np.asarray((observed + shares(training)) / 2))


def same_size(train: NDArray[np.int64], test: NDArray[np.int64], training: Training) -> Predicted:
    """Predicts from the training images of the same size.

    Args:
        train: `(n_train, 2)`, width and height of the image files in pixels.
        test: `(n_test, 2)`, the same of the test images.
        training: The training part.

    Returns:
        Class shares of the training images of the same size, with one pseudo-observation that has the class
        shares of all; these alone for a size that training lacks.
    """
    sizes, codes = np.unique(np.concatenate([train, test]), axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    counts = np.zeros((len(sizes), training.n_classes))
    np.add.at(counts, (codes[: len(train)], training.labels), 1)
    smoothed = counts + shares(training)
    return Predicted(np.asarray((smoothed / smoothed.sum(axis=1, keepdims=True))[codes[len(train) :]]))
