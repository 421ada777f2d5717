"""Linear baselines: a logistic regression on the features of a frozen backbone, or on a given number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lung_attention.evaluation.baselines.training_part import (
    Predicted,
    Probabilities,
    Rows,
    Training,
    all_classes,
    choose,
)

_ITERATIONS = 2000


def logistic(train: NDArray[np.floating], test: NDArray[np.floating], training: Training) -> Predicted:
    """Predicts with a logistic regression with L2 penalty on standardised columns.

    Standardised by the training images of the fold, in the inner folds as well, so that a `C` means the same.
    Where these images are fewer than the columns, all is turned onto their principal axes, none left out: the
    solution under an L2 penalty lies in the span of the training rows, and a rotation changes no length, so
    the fit is the same and takes a fraction of the time (Hastie, Tibshirani: "Efficient quadratic
    regularization for expression arrays", 2004). One thread, since products of this size take several times
    longer where threads wait for each other.

    Args:
        train: `(n_train, d)`, float32 or float64, in which it is computed.
        test: `(n_test, d)`, the same of the test images.
        training: The training part.

    Returns:
        Probabilities, with the `C` that the inner folds chose.
    """
    candidates = training.settings.C
    turned = make_pipeline(
        StandardScaler(), *([PCA(svd_solver="full")] if len(train) < train.shape[1] else [])
    )
    with threadpool_limits(1):
        seen = turned.fit_transform(train)

        def of_each(rows: Rows, others: Rows) -> list[Probabilities]:
            # From one candidate to the next the fit goes on where it was.
            model, found = LogisticRegression(max_iter=_ITERATIONS, warm_start=True), []
            for C in candidates:
                model.set_params(C=C).fit(seen[rows], training.labels[rows])
                found.append(_probabilities(model, seen[others], training))
            return found

        C = candidates[choose(candidates, training, of_each)]
        model = LogisticRegression(C=C, max_iter=_ITERATIONS).fit(seen, training.labels)
        return Predicted(_probabilities(model, turned.transform(test), training), {"C": C})


def _probabilities(model: LogisticRegression, seen: NDArray[np.float64], training: Training) -> Probabilities:
    return all_classes(model.classes_, model.predict_proba(seen), training.n_classes)
