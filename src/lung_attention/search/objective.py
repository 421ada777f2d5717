"""What a study minimises: a loss on inner validation parts, of fits on the rest of the rows it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import numpy.typing as npt
from optuna import Trial, TrialPruned
from scipy.special import log_softmax

from lung_attention.config import Search
from lung_attention.evaluation.metrics import scores
from lung_attention.evaluation.recalibration import clipped_log, inverse_temperature
from lung_attention.evaluation.weighted import Floats
from lung_attention.models.logistic import pooled
from lung_attention.search.space import suggest
from lung_attention.training.fits import CompiledHead, fit_seed
from lung_attention.training.fitting import Features, Labels, Rows, fit_head, predict, start_head
from lung_attention.training.inner import InnerFold, inner_folds
from lung_attention.training.recipe import Recipe

_CONSTANT = 1e-3
"""Probabilities that differ by less among all images tell none from another."""


@dataclass(frozen=True)
class Part:
    """Some rows of a dataset: all that a study ever sees of it.

    Attributes:
        features: For each view that may be chosen `(n, rows, cols, channels)`, an array of its own, so that
            the other rows are out of reach.
        labels: Class numbers `(n,)`.
        groups: `(n,)` str.
        n_classes: Number of classes of the dataset.
    """

    features: Mapping[str, Features]
    labels: Labels
    groups: npt.NDArray[np.str_]
    n_classes: int


def part_of(
    features: Mapping[str, Features],
    labels: Labels,
    groups: npt.NDArray[np.str_],
    rows: Rows,
    *,
    n_classes: int,
) -> Part:
    """Copies some rows out of a dataset, so that the others are out of reach.

    Args:
        features: By view `(n, rows, cols, channels)`, may be memory-mapped.
        labels: Class numbers `(n,)`.
        groups: The group of each row.
        rows: Which rows.
        n_classes: Number of classes.
    """
    own = {view: np.asarray(of_view[rows]) for view, of_view in features.items()}
    return Part(own, labels[rows], groups[rows], n_classes)


def folds_of_part(part: Part, *, folds: int, seed: int) -> list[InnerFold]:
    """The inner folds of a part; see `training.inner`."""
    return inner_folds(
        part.labels, part.groups, n_classes=part.n_classes, folds=folds, seed=seed, key="search.inner_folds"
    )


def scaled_log_loss(labels: Labels, probabilities: Floats) -> float:
    """The log loss after one temperature, fitted on the very rows: what calibration cannot mend.

    A single number cannot learn the rows by heart, and without it settings would win that merely make an
    overconfident head less sure.

    Args:
        labels: Class numbers `(n,)`.
        probabilities: `(n, c)`.
    """
    logs = clipped_log(probabilities)
    inverse = float(inverse_temperature(probabilities, labels, np.ones((len(labels), 1)))[0])
    if math.isinf(inverse) and inverse > 0:
        return 0.0  # no row is in error, so that sharper is better without end
    scaled = log_softmax(logs * inverse, axis=1) if math.isfinite(inverse) else logs
    return float(-scaled[np.arange(len(labels)), labels].mean())


def missing_auroc(labels: Labels, probabilities: Floats) -> float:
    """1 − the mean AUROC of each class against the rest; NaN where a class has no row.

    Args:
        labels: Class numbers `(n,)`.
        probabilities: `(n, c)`.
    """
    return 1 - scores(labels, probabilities, bins=1)["auroc_ovr"]


OBJECTIVES: dict[str, Callable[[Labels, Floats], float]] = {
    "log_loss": scaled_log_loss,
    "auroc": missing_auroc,
}
"""What studies minimise, by the name in `search.objective`."""


class ConstantPredictorError(Exception):
    """A fit that predicts the same for every image: its objective may be good, its decisions are none."""


def inner_value(
    part: Part,
    settings: Recipe,
    folds: Sequence[InnerFold],
    *,
    head: str,
    jit_compile: bool,
    seed: int,
    objective: Callable[[Labels, Floats], float],
    on_epoch: Callable[[int, int, float], None],
) -> float:
    """Fits on each inner fold in turn and measures the rest.

    All fits share one compiled head, which starts anew each time from other weights.

    Args:
        part: The rows.
        settings: Of the head and its fits.
        folds: From `folds_of_part`.
        head: A key of `HEADS`.
        jit_compile: Whether XLA compiles the step, whatever the settings say.
        seed: Of weights and batches; the same for all trials of a study, so that they differ by settings.
        objective: From labels and probabilities to what is minimised.
        on_epoch: Receives the fold's number, the epoch from 1, and the objective of all rows validated on so
            far, this fold's after this epoch. May raise to end it all.

    Returns:
        The objective of all rows, each validated once, after the last epoch.

    Raises:
        ConstantPredictorError: A fit predicts the same for all rows that it is validated on.
    """
    recipe = replace(settings, jit_compile=jit_compile)
    features = part.features[recipe.view]
    heads = CompiledHead(head, part.n_classes)
    columns = pooled(features) if recipe.start == "logistic" else None
    found = np.zeros((len(part.labels), part.n_classes))
    seen = np.array([], dtype=np.int64)
    for number, (train, validation) in enumerate(folds):
        own_seed = fit_seed(seed, number)
        fitted = heads.start(recipe, features.shape[1:], seed=own_seed)
        if columns is not None:
            start_head(fitted, columns[train], part.labels[train], recipe)
        seen = np.concatenate([seen, validation])

        def record(
            epoch: int,
            _: dict[str, float],
            *,
            number: int = number,
            validation: Rows = validation,
            seen: Rows = seen,
            fitted: keras.Model = fitted,
        ) -> None:
            found[validation] = predict(fitted, features, validation, batch_size=recipe.batch_size)
            on_epoch(number, epoch, objective(part.labels[seen], found[seen]))

        fit_head(
            fitted,
            features,
            part.labels,
            train=train,
            validation=np.array([], dtype=np.int64),
            recipe=recipe,
            seed=own_seed,
            on_epoch=record,
        )
        if np.ptp(found[validation], axis=0).max() < _CONSTANT:
            raise ConstantPredictorError(f"fold {number}: probabilities differ by less than {_CONSTANT}")
    return objective(part.labels, found)


def build_objective(
    part: Part, search: Search, default: Recipe, *, head: str, seed: int
) -> Callable[[Trial], float]:
    """Makes the objective of one study.

    Args:
        part: All rows of the study.
        search: Space, objective and inner folds.
        default: Where what is not searched comes from.
        head: A key of `HEADS`.
        seed: Of inner folds, weights and batches.

    Returns:
        A function of a trial. It reports the objective after each epoch, at step (inner fold) · (most epochs)
        + epoch, and gives up when the study's pruner says so, the objective is not finite, or a fit predicts
        the same for all images.

    Raises:
        UserError: A class has fewer groups than folds.
    """
    parts = folds_of_part(part, folds=search.inner_folds, seed=seed)
    most = most_epochs(search)

    def objective(trial: Trial) -> float:
        settings = suggest(trial, search.space, default, attention=head == "attention")

        def report(fold: int, epoch: int, value: float) -> None:
            if not math.isfinite(value):
                raise TrialPruned(f"the objective is {value}")
            trial.report(value, fold * most + epoch)
            if trial.should_prune():
                raise TrialPruned

        try:
            return inner_value(
                part,
                settings,
                parts,
                head=head,
                jit_compile=search.jit_compile,
                seed=seed,
                objective=OBJECTIVES[search.objective],
                on_epoch=report,
            )
        except ConstantPredictorError as error:
            raise TrialPruned(str(error)) from error
        finally:
            # Every trial has a graph of its own; hundreds of them would fill the memory.
            keras.backend.clear_session()

    return objective


def most_epochs(search: Search) -> int:
    """The most epochs that a trial may ask for."""
    return int(max(search.space.epochs.high, search.space.further_epochs.high))
