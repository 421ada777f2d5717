"""Logistic regressions on pooled features: what a linear head on a frozen backbone can do. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

Floats = NDArray[np.float64]

_ROWS = 256
"""Rows pooled at a time: 7 × 7 × 1,280 features of 256 images take 64 MB as float32."""

_ITERATIONS = 2000
_TOLERANCE = 1e-6
"""Of the gradient; scikit-learn's own leaves probabilities wrong in the third digit."""


def pooled(features: NDArray[np.float16]) -> NDArray[np.float32]:
    """Averages and maxima of a backbone's features over an image.

    Args:
        features: `(n, rows, cols, channels)`, float16, may be memory-mapped: they are read in chunks.

    Returns:
        `(n, 2 * channels)`, float32, averages first.
    """
    n, _, _, channels = features.shape
    found = np.empty((n, 2 * channels), dtype=np.float32)
    for start in range(0, n, _ROWS):
        part = np.asarray(features[start : start + _ROWS], dtype=np.float32)
        found[start : start + _ROWS, :channels] = part.mean(axis=(1, 2))
        found[start : start + _ROWS, channels:] = part.max(axis=(1, 2))
    return found


def turned(x: NDArray[np.floating]) -> tuple[NDArray[np.floating], NDArray[np.floating] | None]:
    """Turns rows onto axes of the space that they span, where they are fewer than their columns.

    The solution of a regression under an L2 penalty lies in that space, and a rotation changes no length, so
    the fit is the same and takes a fraction of the time (Hastie, Tibshirani: "Efficient quadratic
    regularization for expression arrays", 2004). One thread, since products of this size take several times
    longer where threads wait for each other.

    Args:
        x: `(n, d)`.

    Returns:
        The rows as they are and None where n ≥ d; else `(n, n)` and the axes `(d, n)`, by which other rows
        are multiplied.
    """
    if len(x) >= x.shape[1]:
        return x, None
    with threadpool_limits(1):
        axes, rows = np.linalg.qr(x.T)
    return rows.T, axes


@dataclass(frozen=True)
class Linear:
    """A linear map of standardised columns to logits.

    Attributes:
        mean: `(d,)`, subtracted from the columns.
        scale: `(d,)`, by which they are then divided.
        kernel: `(d, c)`.
        bias: `(c,)`.
    """

    mean: Floats
    scale: Floats
    kernel: Floats
    bias: Floats

    def logits(self, x: NDArray[np.floating]) -> Floats:
        """The logits `(n, c)` of `(n, d)`."""
        found: Floats = ((x - self.mean) / self.scale) @ self.kernel + self.bias
        return found


class LogisticPath:
    """Multinomial logistic regressions on the same rows, for penalties of any strength.

    What is minimised is the mean loss + `l2` · the squared kernel, as a dense layer of Keras has it; with
    scikit-learn's C that is C = 1 / (2 · l2 · n). Columns are standardised by the rows.

    Args:
        x: `(n, d)`, float32 or float64.
        labels: `(n,)` int in 0..n_classes-1.
        n_classes: Number of classes, at least two of which have a row.
        class_weights: `none`, or `balanced`: each class weighs as much as any other in the loss.
    """

    def __init__(
        self,
        x: NDArray[np.floating],
        labels: NDArray[np.int64],
        *,
        n_classes: int,
        class_weights: Literal["none", "balanced"],
    ) -> None:
        self._labels = labels
        self._n_classes = n_classes
        scaler = StandardScaler()
        self._seen, self._axes = turned(scaler.fit_transform(x.astype(np.float64, copy=False)))
        self._mean, self._scale = scaler.mean_, scaler.scale_
        # From one penalty to the next the fit goes on where it was.
        self._model = LogisticRegression(
            max_iter=_ITERATIONS,
            tol=_TOLERANCE,
            warm_start=True,
            class_weight="balanced" if class_weights == "balanced" else None,
        )

    def fit(self, l2: float) -> Linear:
        """The regression for one strength of the penalty, a map of the columns as they were given."""
        model = self._model.set_params(C=1 / (2 * l2 * len(self._labels)))
        with threadpool_limits(1):
            model.fit(self._seen, self._labels)
        kernel, bias = model.coef_.T, model.intercept_
        if len(model.classes_) == 2:  # one column, of the second class against the first
            kernel, bias = np.hstack([-kernel / 2, kernel / 2]), np.concatenate([-bias / 2, bias / 2])
        if self._axes is not None:
            kernel = self._axes @ kernel
        whole = np.zeros((kernel.shape[0], self._n_classes))
        # A class without a row gets no probability to speak of.
        shift = np.full(self._n_classes, -30.0)
        whole[:, model.classes_] = kernel
        shift[model.classes_] = bias
        return Linear(self._mean, self._scale, whole, shift)
