"""Logistic regressions on the pooled features of some rows, and the penalty that inner folds choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from lung_attention.evaluation.recalibration import clipped_log, inverse_temperature
from lung_attention.models.logistic import Linear, LogisticPath
from lung_attention.training.fitting import Labels, Rows, balanced_weights
from lung_attention.training.inner import InnerFold, inner_folds, out_of_fold
from lung_attention.training.recipe import Choices, Recipe

Floats = npt.NDArray[np.float64]


class Regressions:
    """Regressions on rows of the same columns.

    Args:
        columns: float32 `(n, d)`, from `pooled`.
        labels: Class numbers `(n,)`.
        groups: The group of each row `(n,)`.
        n_classes: Number of classes.
    """

    def __init__(
        self,
        columns: npt.NDArray[np.float32],
        labels: Labels,
        groups: npt.NDArray[np.str_],
        *,
        n_classes: int,
    ) -> None:
        self._columns = columns
        self._labels = labels
        self._groups = groups
        self._n_classes = n_classes

    def inner(self, rows: Rows, choices: Choices, *, seed: int) -> list[InnerFold]:
        """Inner folds of some rows, by group.

        Raises:
            UserError: A class has too few groups.
        """
        return inner_folds(
            self._labels[rows],
            self._groups[rows],
            n_classes=self._n_classes,
            folds=choices.inner_folds,
            seed=seed,
            key="train.recommended.choices.inner_folds",
        )

    def of(self, rows: Rows, recipe: Recipe, penalties: Sequence[float]) -> list[Linear]:
        """The regressions on some rows, one for each penalty, weighted as the recipe says."""
        path = LogisticPath(
            self._columns[rows],
            self._labels[rows],
            n_classes=self._n_classes,
            class_weights=recipe.class_weights,
        )
        return [path.fit(l2) for l2 in penalties]

    def penalty(
        self, rows: Rows, inner: list[InnerFold], recipe: Recipe, penalties: Sequence[float]
    ) -> tuple[float, Floats]:
        """The best penalty, and the probabilities of all rows with it, out of fold.

        Args:
            rows: The rows that may be looked at.
            inner: Inner folds of these.
            recipe: Its class weights.
            penalties: The candidates.
        """

        def of_each(_: int, train: Rows, validation: Rows) -> Floats:
            found = self.of(rows[train], recipe, penalties)
            return np.stack([softmax(one.logits(self._columns[rows[validation]]), axis=1) for one in found])

        found = out_of_fold(inner, of_each)
        best = int(np.argmin([self.loss(one, rows) for one in found]))
        return penalties[best], found[best]

    def loss(self, probabilities: Floats, rows: Rows) -> float:
        """The log loss by which settings are compared: that after the temperature which is best for them.

        A classifier of the recipe is tempered in the end, so it is judged as it will be. Without that, an
        overconfident one, which one number mends, loses against a penalty that leaves nothing to be confident
        of.
        """
        labels = self._labels[rows]
        tempered = softmax(clipped_log(probabilities) / temperature(probabilities, labels), axis=1)
        return float(-clipped_log(tempered)[np.arange(len(rows)), labels].mean())


def image_weights(labels: Labels, recipe: Recipe) -> Floats:
    """The weight of each image in the loss `(n,)`: 1, or that of its class where classes are balanced."""
    if recipe.class_weights != "balanced":
        return np.ones(len(labels))
    of_class = balanced_weights(labels)
    return np.array([of_class[int(label)] for label in labels])


def temperature(probabilities: Floats, labels: Labels) -> float:
    """The temperature that fits probabilities best; overconfident ones have one above 1.

    Args:
        probabilities: `(n, c)`, of rows that were not fitted on.
        labels: Class numbers `(n,)`.

    Returns:
        Above 0; 1 where there is no best one, as for probabilities without an error.
    """
    inverse = float(inverse_temperature(probabilities, labels, np.ones((len(labels), 1)))[0])
    return 1 / inverse if np.isfinite(inverse) and inverse > 0 else 1.0
