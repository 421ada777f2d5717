"""Scores of a classifier from labels and probabilities.

Undefined scores are NaN, without a warning: a macro score where one of the classes has no test image, a
positive predictive value of a class that is never predicted. Such is the case in resamples and small folds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lung_attention.evaluation.weighted import SCORES, Floats, Integers, WeightedScores, ratio


def scores(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], *, bins: int
) -> dict[str, float]:
    """Ten scores of one model on one test set.

    - accuracy; balanced_accuracy: mean sensitivity of the classes; macro_f1: mean F1 of the classes.
    - mcc: Matthews correlation, for several classes Gorodkin's R_K. 0 if only one class is ever predicted.
    - log_loss: mean of −ln p(true class), natural logarithm, p at least float64's epsilon.
    - brier: mean over images of Σ_k (p_k − y_k)², the sum over *all* classes (Brier 1950), 0..2. For two
      classes that is twice the one-sided form that some packages report.
    - ece: expected calibration error of the predicted class, bins of equal width (Guo et al. 2017).
    - auroc_ovr: mean over classes of the area of class against rest. auroc_ovo: mean over pairs of classes
      (Hand and Till 2001). Unweighted, as scikit-learn's `average="macro"`. Two classes: both are the AUROC.
    - average_precision: mean over classes, also for two, of scikit-learn's average precision.

    Args:
        labels: `(n,)` int.
        probabilities: `(n, c)` float, rows sum to 1.
        bins: Bins of the calibration error.

    Returns:
        The scores under the names above; NaN where a class is absent and the score needs it.
    """
    n = len(labels)
    model = WeightedScores(labels, probabilities, clusters=np.arange(n), n_clusters=n, bins=bins, rank=True)
    values = model(np.ones((n, 1)))
    return {name: float(values[name][0]) for name in SCORES}


def confusion_matrix(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], *, classes: int
) -> Integers:
    """`(classes, classes)` int, rows are true classes, for `(n,)` labels and predicted classes."""
    cells = np.asarray(labels, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def per_class(confusion: NDArray[np.number]) -> dict[str, Floats]:
    """Figures of each class against the others.

    Args:
        confusion: `(c, c)`, rows are true classes.

    Returns:
        sensitivity, specificity, ppv (positive predictive value), f1 and support, each `(c,)`; NaN where the
        class is absent or, for ppv, never predicted.
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits, true, predicted, total = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    return {
        "sensitivity": ratio(hits, true),
        "specificity": ratio(total - true - predicted + hits, total - true),
        "ppv": ratio(hits, predicted),
        "f1": np.where(true > 0, ratio(2 * hits, true + predicted), np.nan),
        "support": true,
    }
