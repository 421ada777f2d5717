"""The recommended recipe: a linear head on averages and maxima of a close view, nothing left to taste.

Penalty, epochs and temperature of each fit are chosen by inner folds of its training groups. The plain head
is a logistic regression. The attention head starts from the same regression and is then fitted as a whole:
at γ = 0 it would be the plain one, so whatever it gains or loses, attention does.
"""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt

from lung_attention.models.heads.dense import divide_logits, set_linear
from lung_attention.models.logistic import pooled
from lung_attention.splits.protocol import Fold
from lung_attention.training.fits import (
    CompiledHead,
    Fitted,
    FittedCell,
    Material,
    Record,
    fit_seed,
    run_fits,
)
from lung_attention.training.fitting import Rows, fit_head, predict
from lung_attention.training.inner import InnerFold, out_of_fold
from lung_attention.training.progress import EpochReport
from lung_attention.training.recipe import Choices, Recipe
from lung_attention.training.regressions import Regressions, temperature

PLAIN = "plain"
"""The head that is the regression itself."""

Floats = npt.NDArray[np.float64]


def fit(material: Material, on_epoch: EpochReport) -> FittedCell:
    """Fits a cell, choosing for each fit on its own training rows.

    Args:
        material: What the fits are given; its settings hold `choices`.
        on_epoch: Receives seed, fold, epoch and the epoch's values.

    Returns:
        The kept model, whose logits are divided by its temperature, out-of-sample predictions, learning
        curves, and of each fit `l2`, `epochs` and `temperature`.

    Raises:
        UserError: A class has too few groups in a training part.
    """
    fits = _Fits(material)
    return run_fits(material, fits.fit_one, on_epoch)


class _Fits:
    """The fits of a cell, which share pooled features and a compiled head."""

    def __init__(self, material: Material) -> None:
        choices = material.settings.choices
        if choices is None:
            raise ValueError("Expected settings with choices.")
        self._choices: Choices = choices
        self._material = material
        self._labels = material.labels
        n_classes = len(material.classes)
        columns = pooled(material.features)
        self._regressions = Regressions(columns, self._labels, material.groups, n_classes=n_classes)
        self._heads = CompiledHead(material.head, n_classes)

    def fit_one(self, seed: int, fold: Fold, record: Record) -> Fitted:
        """Chooses by inner folds, fits on all training rows, and divides the logits by the temperature."""
        material, choices, rows = self._material, self._choices, fold.train
        number = fit_seed(seed, fold.number)
        inner = self._regressions.inner(rows, choices, seed=number)
        recipe = material.settings.of(fold.number)
        l2, found = self._regressions.penalty(rows, inner, recipe, choices.l2)
        recipe = replace(recipe, l2=l2, epochs=0)
        if material.head != PLAIN:
            epochs, found = self._epochs(rows, inner, recipe, seed=number)
            recipe = replace(recipe, epochs=epochs)
        divisor = temperature(found, self._labels[rows])
        head = self._fit(rows, recipe, seed=number, record=record)
        divide_logits(head, divisor)

        def probabilities(wanted: Rows) -> npt.NDArray[np.float32]:
            return predict(head, material.features, wanted, batch_size=recipe.batch_size)

        return Fitted(head, probabilities, {"l2": l2, "epochs": recipe.epochs, "temperature": divisor})

    def _epochs(self, rows: Rows, inner: list[InnerFold], recipe: Recipe, *, seed: int) -> tuple[int, Floats]:
        """The best number of epochs, and the probabilities of all rows after it, out of fold."""
        candidates = self._choices.epochs
        longest = replace(recipe, epochs=max(candidates))

        def after_each(number: int, train: Rows, validation: Rows) -> Floats:
            found: list[Floats] = []

            def record(epoch: int, _: dict[str, float]) -> None:
                if epoch in candidates:
                    features = self._material.features
                    p = predict(self._heads.head, features, rows[validation], batch_size=recipe.batch_size)
                    found.append(p.astype(np.float64))

            self._fit(rows[train], longest, seed=fit_seed(seed, number), record=record)
            return np.stack(found)

        found = out_of_fold(inner, after_each)
        best = int(np.argmin([self._regressions.loss(one, rows) for one in found]))
        return sorted(candidates)[best], found[best]

    def _fit(self, rows: Rows, recipe: Recipe, *, seed: int, record: Record) -> keras.Model:
        """A head that starts from the regression on some rows, fitted on them."""
        # The number of epochs is no part of a head's graph.
        features = self._material.features
        head = self._heads.start(replace(recipe, epochs=0), features.shape[1:], seed=seed)
        set_linear(head, self._regressions.of(rows, recipe, [recipe.l2])[0])
        fit_head(
            head,
            features,
            self._labels,
            train=rows,
            validation=np.array([], dtype=np.int64),
            recipe=recipe,
            seed=seed,
            on_epoch=record,
        )
        return head
