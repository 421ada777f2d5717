"""Recalibration models: how probabilities would have to be bent to fit the labels, for many weightings.

The model is a conditional logit of the true class, P(y = k) ∝ exp(β log p_k + a_k). Three cases are used:
- β and all a: the calibration slope β is 1 for good probabilities, below 1 for overconfident ones. For two
  classes that is Cox's logistic recalibration (1958, *Biometrika* 45:562); for more, the multinomial
  framework of Van Hoorde et al. (2014, *Statistics in Medicine* 33:2585) with one slope for all classes;
- the a alone, β = 1: the calibration intercept (Van Calster et al. 2019, *BMC Medicine* 17:230), here of one
  class against the rest;
- β alone: 1 / β is the temperature of Guo et al. (2017).
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from lung_attention.evaluation.weighted import SMALLEST_PROBABILITY, Floats, Integers, ratio

_STEPS = 60
_SMALL_STEP = 1e-3  # in standard deviations; Newton's error after it is of the order of its square
_SAME = 1e-12  # spread of logarithms that are all alike
_SEPARATED = 0.1  # summed loss below which no pair of images can be in the wrong order
_CHUNK = 1 << 17


def clipped_log(probabilities: Floats) -> Floats:
    """Natural logarithms of probabilities, at least that of float64's epsilon, as the log loss has them."""
    return np.log(np.clip(probabilities, SMALLEST_PROBABILITY, 1.0))


def calibration_slope(probabilities: Floats, labels: Integers, weights: Floats) -> Floats:
    """Calibration slope for several weightings of the images.

    Args:
        probabilities: `(n, c)`, rows sum to 1.
        labels: `(n,)` int in 0..c-1.
        weights: `(n, b)`, not negative.

    Returns:
        `(b,)`. Infinite where the probabilities tell the classes apart without an error, so that no slope is
        steep enough; NaN where a class is absent or the probabilities are all the same.
    """
    logs = clipped_log(probabilities)
    slopes, _ = fit(logs, labels, weights, slope=True, intercepts=True)
    absent = np.stack([weights[labels == k].sum(axis=0) == 0 for k in range(logs.shape[1])]).any(axis=0)
    return np.where(absent, np.nan, slopes)


def calibration_intercept(
    of_class: Floats, belongs: Integers, clusters: Integers, weights: Floats
) -> tuple[float, Floats]:
    """Calibration intercept of one class against the rest, on the scale of log odds, and its resamples.

    A resample is one step of Newton's method away from the intercept of all images (Davidson and MacKinnon
    1999, *International Economic Review* 40:487): with a single parameter and the slope fixed, no more is
    gained by further ones than the percentiles vary by chance.

    Args:
        of_class: `(n,)` probabilities of the class.
        belongs: `(n,)` int, 1 where the class is the true one, else 0.
        clusters: `(n,)` int, the cluster of each image.
        weights: `(n_clusters, b)`, how often each cluster was drawn.

    Returns:
        The intercept, above 0 where the class is more frequent than its probabilities say, and `(b,)` of it
        in the resamples; NaN where all images, or none, are of the class.
    """
    logs = clipped_log(np.stack([of_class, 1 - of_class], axis=1))
    n_clusters = len(weights)
    of_cluster = np.bincount(clusters, weights=belongs, minlength=n_clusters)
    sizes = np.bincount(clusters, minlength=n_clusters)
    own, total = of_cluster @ weights, sizes @ weights
    if not 0 < of_cluster.sum() < len(belongs):
        return np.nan, np.full(weights.shape[1], np.nan)
    _, intercepts = fit(logs, 1 - belongs, np.ones((len(belongs), 1)), slope=False, intercepts=True)
    value = float(intercepts[0, 0])
    expected = expit(logs[:, 0] - logs[:, 1] + value)
    gradient = of_cluster - np.bincount(clusters, weights=expected, minlength=n_clusters)
    curvature = np.bincount(clusters, weights=expected * (1 - expected), minlength=n_clusters)
    steps = ratio(gradient @ weights, curvature @ weights)
    return value, np.where((own == 0) | (own == total), np.nan, value + steps)


def inverse_temperature(probabilities: Floats, labels: Integers, weights: Floats) -> Floats:
    """β of least log loss for several weightings: `(b,)`, infinite where no image is in error."""
    return fit(clipped_log(probabilities), labels, weights, slope=True, intercepts=False)[0]


def fit(
    logs: Floats, labels: Integers, weights: Floats, *, slope: bool, intercepts: bool
) -> tuple[Floats, Floats]:
    """Fits the model at the head of this module by Newton's method, each step halved until it gains.

    Args:
        logs: `(n, c)` logarithms of probabilities.
        labels: `(n,)` int in 0..c-1.
        weights: `(n, b)`, not negative: `b` fits.
        slope: Whether β is fitted; else it is 1.
        intercepts: Whether the a are fitted; else they are 0.

    Returns:
        β `(b,)` and a `(c - 1, b)`, the last class being the reference. Where there is no maximum β is
        infinite, and NaN where nothing depends on it.
    """
    fits = weights.shape[1]
    x = logs - logs.mean(axis=1, keepdims=True)
    if slope and intercepts:
        x = x - x.mean(axis=0)  # the intercepts take it up; a mean that is no class's share hinders the fit
    scale = float(x.std()) if slope else 1.0
    if scale < _SAME:
        return np.full(fits, np.nan), np.full((logs.shape[1] - 1, fits), np.nan)
    free = np.array([slope, *[intercepts] * (logs.shape[1] - 1)])
    width = max(1, _CHUNK // len(logs))
    parts: list[Floats] = []
    for first in range(0, fits, width):
        part = weights[:, first : first + width]
        start = np.zeros((len(free), part.shape[1]))
        start[0] = 0.0 if slope else 1.0
        if parts and np.isfinite(parts[-1][:, -1]).all():
            start[:] = parts[-1][:, -1:]  # the fit of another resample is a better start than none
        parts.append(_newton(x / scale, labels, part, start, free))
    found = np.concatenate(parts, axis=1)
    return found[0] / scale, found[1:]


def _newton(x: Floats, labels: Integers, weights: Floats, start: Floats, free: NDArray[np.bool_]) -> Floats:
    """Parameters `(c, b)` of most likelihood; row 0, the slope, is infinite where there is none."""
    best, step = start.copy(), np.zeros_like(start)
    reached = np.full(weights.shape[1], -np.inf)
    moving = np.ones(weights.shape[1], dtype=bool)
    for _ in range(_STEPS):
        columns = np.flatnonzero(moving)
        tried = best[:, columns] + step[:, columns]
        likelihood, gradient, curvature = _derivatives(x, labels, weights[:, columns], tried)
        gains = likelihood >= reached[columns] - 1e-10 * np.abs(likelihood)
        kept = columns[gains]
        best[:, kept], reached[kept] = tried[:, gains], likelihood[gains]
        step[:, columns[~gains]] /= 2
        ahead = np.zeros((len(free), len(kept)))
        ridge = 1e-10 * np.eye(int(free.sum()))
        matrix = curvature[np.ix_(free, free)][:, :, gains].transpose(2, 0, 1) + ridge
        ahead[free] = np.linalg.solve(matrix, gradient[free][:, gains].T[:, :, None])[:, :, 0].T
        step[:, kept] = ahead
        separated = reached[columns] > -_SEPARATED
        moving[columns] = (np.abs(step[:, columns]).max(axis=0) > _SMALL_STEP) & ~separated
        if not moving.any():
            break
    lost = moving | (reached > -_SEPARATED)
    best[:, ~lost] += step[:, ~lost]
    if free[0]:
        best[0, lost] = np.where(best[0, lost] < 0, -np.inf, np.inf)
    return best


def _derivatives(
    x: Floats, labels: Integers, weights: Floats, parameters: Floats
) -> tuple[Floats, Floats, Floats]:
    """Log likelihood `(b,)`, its gradient `(c, b)` and the negative of its second derivatives `(c, c, b)`."""
    c = x.shape[1]
    slopes, intercepts = parameters[0], parameters[1:]
    shares = [x[:, k, None] * slopes for k in range(c)]
    for k in range(c - 1):
        shares[k] += intercepts[k]
    highest = reduce(np.maximum, shares)
    for share in shares:
        np.exp(np.subtract(share, highest, out=share), out=share)
    total = reduce(np.add, shares)
    observed = x[np.arange(len(x)), labels]
    of_labels = np.stack([weights[labels == k].sum(axis=0) for k in range(c)])
    highest += np.log(total)
    likelihood = observed @ weights * slopes + (of_labels[:-1] * intercepts).sum(axis=0)
    likelihood -= _summed(weights, highest)

    mean = x[:, -1, None] * (shares[-1] / total)
    weighted = []
    for k, share in enumerate(shares[:-1]):
        share /= total
        mean += x[:, k, None] * share
        weighted.append(weights * share)
    own = np.stack([one.sum(axis=0) for one in weighted])
    # The shares of all classes sum to 1, so that those of the last need no sum of their own.
    square = (x[:, -1] ** 2) @ weights
    square += np.add.reduce([(x[:, k] ** 2 - x[:, -1] ** 2) @ weighted[k] for k in range(c - 1)])
    gradient, curvature = np.empty((c, weights.shape[1])), np.empty((c, c, weights.shape[1]))
    gradient[0] = observed @ weights - _summed(weights, mean)
    gradient[1:] = of_labels[:-1] - own
    curvature[0, 0] = square - np.einsum("nb,nb,nb->b", weights, mean, mean)
    for k in range(c - 1):
        curvature[0, k + 1] = curvature[k + 1, 0] = x[:, k] @ weighted[k] - _summed(weighted[k], mean)
        for other in range(k, c - 1):
            both = own[k] * (other == k) - _summed(weighted[k], shares[other])
            curvature[k + 1, other + 1] = curvature[other + 1, k + 1] = both
    return likelihood, gradient, curvature


def _summed(a: Floats, b: Floats) -> Floats:
    """Sum over rows of the products of two `(n, b)` matrices: `(b,)`."""
    return np.asarray(np.einsum("nb,nb->b", a, b))
