"""What a split table asks a training to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from lung_attention.splits.grouped import CROSS_VALIDATION
from lung_attention.splits.settings import REFIT

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fold:
    """One fit and what it is tested on; row numbers of the split table.

    Attributes:
        number: The fold, or `REFIT`.
        train: The rows fitted on.
        monitored: The rows whose loss is recorded after each epoch: the validation part or, where the
            protocol has none, the test part, as in the published IQ-OTH/NCCD run. Nothing is selected.
        test: The rows predicted at the end; empty for a refit.
    """

    number: int
    train: Rows
    monitored: Rows
    test: Rows


def is_cross_validation(table: pd.DataFrame) -> bool:
    """Whether every image of a split table is tested in its own fold."""
    return bool((table["subset"] == CROSS_VALIDATION).all())


def folds(table: pd.DataFrame) -> Iterator[Fold]:
    """Yields the fits that give out-of-sample predictions.

    Args:
        table: A split table, columns `fold` and `subset`.

    Yields:
        One fold of a published split, or k of a grouped one.
    """
    number = table["fold"].to_numpy()
    subset = table["subset"].to_numpy()
    if is_cross_validation(table):
        for fold in sorted(set(number.tolist())):
            test = np.flatnonzero(number == fold)
            yield Fold(fold, np.flatnonzero(number != fold), test, test)
        return
    test = np.flatnonzero(subset == "test")
    validation = np.flatnonzero(subset == "validation")
    yield Fold(0, np.flatnonzero(subset == "train"), validation if validation.size else test, test)


def refit(table: pd.DataFrame) -> Fold:
    """The fit on every image whose model a grouped cell keeps."""
    nothing = np.array([], dtype=np.int64)
    return Fold(REFIT, np.arange(len(table)), nothing, nothing)
