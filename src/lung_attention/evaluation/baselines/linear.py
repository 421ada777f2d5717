"""Linear baselines: logistic regressions on features of a frozen backbone, on given numbers, or on both."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lung_attention.evaluation.baselines.training_part import (
    Predicted,
    Probabilities,
    Rows,
    Training,
    all_classes,
    choose,
    inner_folds,
)
from lung_attention.models.logistic import turned

_ITERATIONS = 2000
_SMALLEST_PROBABILITY = 1e-6


def logistic(train: NDArray[np.floating], test: NDArray[np.floating], training: Training) -> Predicted:
    """Predicts with a logistic regression with L2 penalty on standardised columns.

    Standardised by the training images of the fold, in the inner folds as well, so that a `C` means the same.

    Args:
        train: `(n_train, d)`, float32 or float64, in which it is computed.
        test: `(n_test, d)`, the same of the test images.
        training: The training part.

    Returns:
        Probabilities, with the `C` that the inner folds chose.
    """
    candidates = training.settings.C
    scaler = StandardScaler()
    seen, axes = turned(scaler.fit_transform(train))
    seen_test = scaler.transform(test) if axes is None else scaler.transform(test) @ axes
    with threadpool_limits(1):  # see `turned`

        def of_each(rows: Rows, others: Rows) -> list[Probabilities]:
            # From one candidate to the next the fit goes on where it was.
            model, found = LogisticRegression(max_iter=_ITERATIONS, warm_start=True), []
            for C in candidates:
                model.set_params(C=C).fit(seen[rows], training.labels[rows])
                found.append(_probabilities(model, seen[others], training))
            return found

        C = candidates[choose(candidates, training, of_each)]
        model = LogisticRegression(C=C, max_iter=_ITERATIONS).fit(seen, training.labels)
        return Predicted(_probabilities(model, seen_test, training), {"C": C})


def stacked(numbers: int) -> Callable[[NDArray[np.floating], NDArray[np.floating], Training], Predicted]:
    """What features say, weighed against given numbers: a regression on the one's answer and the others.

    Among thousands of columns a number would be lost under their common penalty. So the features' regression
    answers first, out of fold for the training images, by inner folds of their groups; a second regression
    sees the logarithms of its probabilities beside the numbers (stacking: Wolpert, Neural Networks 5, 1992).

    Args:
        numbers: How many of the columns, the last ones, are given numbers.

    Returns:
        A baseline's `predict`; where groups are too few for inner folds, that of all columns together.
    """

    def predict(
        train: NDArray[np.floating], test: NDArray[np.floating], training: Training
    ) -> Predicted:  # fmt: skip
        seen, answered = train[:, :-numbers], np.zeros(len(train), dtype=bool)
        answers = np.zeros((len(train), training.n_classes))
        for rows, others in inner_folds(training):
            answers[others] = logistic(seen[rows], seen[others], training.of(rows)).probabilities
            answered[others] = True
        if not answered.any():
            return logistic(train, test, training)
        of_test = logistic(seen, test[:, :-numbers], training).probabilities
        beside, beside_test = (
            np.hstack([np.log(np.maximum(found, _SMALLEST_PROBABILITY)), given[:, -numbers:]])
            for found, given in ((answers, train), (of_test, test))
        )
        return logistic(beside[answered], beside_test, training.of(np.flatnonzero(answered)))

    return predict


def _probabilities(
    model: LogisticRegression, seen: NDArray[np.floating], training: Training
) -> Probabilities:
    return all_classes(model.classes_, model.predict_proba(seen), training.n_classes)
