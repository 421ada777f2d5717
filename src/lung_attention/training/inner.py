"""Inner folds: what a choice among settings may look at, parts of the training images of one fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from lung_attention.errors import UserError

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
InnerFold = tuple[Rows, Rows]


def inner_folds(
    labels: Labels, groups: npt.NDArray[np.str_], *, n_classes: int, folds: int, seed: int, key: str
) -> list[InnerFold]:
    """Parts rows by group, classes as evenly as groups allow.

    Args:
        labels: Class numbers `(n,)`.
        groups: `(n,)` str.
        n_classes: Number of classes of the dataset.
        folds: How many.
        seed: Of the assignment of groups to folds.
        key: The parameter that says how many, for the message.

    Returns:
        For each fold the rows fitted on and the rows validated on.

    Raises:
        UserError: A class has fewer groups than folds.
    """
    for number in range(n_classes):
        of_class = len(set(groups[labels == number].tolist()))
        if of_class < folds:
            raise UserError(
                f"class {number} has {of_class} groups to choose settings on, fewer than the {folds} inner "
                "folds",
                remedy=f"lower {key} in params.yaml",
            )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    return [
        (train.astype(np.int64), validation.astype(np.int64))
        for train, validation in splitter.split(np.zeros(len(labels)), labels, groups=groups)
    ]


def out_of_fold(
    folds: list[InnerFold], predict: Callable[[int, Rows, Rows], npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    """Predictions of all rows, each by a fit that did not see it.

    Args:
        folds: From `inner_folds`.
        predict: From the number of a fold, its rows fitted on and its rows validated on to what is predicted
            of the latter, `(…, rows, c)`.

    Returns:
        `(…, n, c)`, rows in order.
    """
    parts = [predict(number, train, validation) for number, (train, validation) in enumerate(folds)]
    order = np.argsort(np.concatenate([validation for _, validation in folds]))
    found: npt.NDArray[np.float64] = np.concatenate(parts, axis=-2)[..., order, :]
    return found
