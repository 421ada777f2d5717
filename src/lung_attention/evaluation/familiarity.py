"""How far an image lies from those that a model was fitted on, in the space of its backbone's features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.model_selection import StratifiedGroupKFold

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Familiarity:
    """A normal distribution a class with one covariance, in the space of averaged features.

    The distance of an image is that of Mahalanobis to the nearest class (Lee et al.: "A simple unified
    framework for detecting out-of-distribution samples and adversarial attacks", NeurIPS 2018); the
    covariance is shrunk (Ledoit, Wolf 2004), since there may be fewer images than features.

    Attributes:
        means: `(classes, channels)`.
        whitening: `(channels, channels)`; the length of (x - mean) @ whitening is the distance.
        threshold: The distance up to which an image is familiar.
    """

    means: Floats
    whitening: Floats
    threshold: float

    def distances(self, x: NDArray[np.floating]) -> Floats:
        """The distance of each row of `(n, channels)`, in standard deviations over all channels."""
        return _distances(x, self.means, self.whitening)


def fit_familiarity(
    x: NDArray[np.floating],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    share: float,
    folds: int,
    seed: int,
) -> Familiarity:
    """Fits the distributions, and finds the threshold on groups that they were not fitted on.

    Args:
        x: Features averaged over each image, `(n, channels)`.
        labels: The number of the class of each image.
        groups: The number of the group of each image.
        share: Of images of unseen groups that shall be familiar; each group counts the same.
        folds: By which unseen groups are had.
        seed: Of the folds.

    Returns:
        The distributions of all rows, with the threshold.

    Raises:
        ValueError: There are fewer groups than folds.
    """
    rows = np.asarray(x, dtype=np.float64)
    unseen = np.empty(len(rows))
    for train, test in StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(
        rows, labels, groups
    ):
        unseen[test] = _distances(rows[test], *_normal(rows[train], labels[train]))
    _, codes, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(unseen, kind="stable")
    reached = np.cumsum((1 / counts[codes] / len(counts))[order])
    place = min(int(np.searchsorted(reached, share - 1e-9)), len(order) - 1)
    return Familiarity(*_normal(rows, labels), float(unseen[order][place]))


def _normal(x: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """The mean of each class that is there, and the whitening of the covariance around these."""
    classes, codes = np.unique(labels, return_inverse=True)
    means = np.stack([x[codes == code].mean(axis=0) for code in range(len(classes))])
    covariance, _ = ledoit_wolf(x - means[codes], assume_centered=True)
    # A channel that is constant everywhere would have no inverse.
    variances, axes = np.linalg.eigh(covariance)
    return means, axes / np.sqrt(np.maximum(variances, variances[-1] * 1e-10))


def _distances(x: NDArray[np.floating], means: Floats, whitening: Floats) -> Floats:
    white = np.asarray(x, dtype=np.float64) @ whitening
    nearest: Floats = np.min([np.linalg.norm(white - mean, axis=1) for mean in means @ whitening], axis=0)
    return nearest
