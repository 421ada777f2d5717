"""What a study minimises: the loss on inner validation parts, of fits on the rest of the rows it is given."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import numpy.typing as npt
from optuna import Trial, TrialPruned

from lung_attention.config import Search
from lung_attention.search.space import suggest
from lung_attention.training.fits import CompiledHead, fit_seed
from lung_attention.training.fitting import Features, Labels, Rows, fit_head
from lung_attention.training.inner import InnerFold, inner_folds
from lung_attention.training.recipe import Recipe


@dataclass(frozen=True)
class Part:
    """Some rows of a dataset: all that a study ever sees of it.

    Attributes:
        features: `(n, rows, cols, channels)`, an array of its own and no view of all rows.
        labels: Class numbers `(n,)`.
        groups: `(n,)` str.
        n_classes: Number of classes of the dataset.
    """

    features: Features
    labels: Labels
    groups: npt.NDArray[np.str_]
    n_classes: int


def part_of(
    features: Features, labels: Labels, groups: npt.NDArray[np.str_], rows: Rows, *, n_classes: int
) -> Part:
    """Copies some rows out of a dataset, so that the others are out of reach.

    Args:
        features: `(n, rows, cols, channels)`, may be memory-mapped.
        labels: Class numbers `(n,)`.
        groups: The group of each row.
        rows: Which rows.
        n_classes: Number of classes.
    """
    return Part(np.asarray(features[rows]), labels[rows], groups[rows], n_classes)


def folds_of_part(part: Part, *, folds: int, seed: int) -> list[InnerFold]:
    """The inner folds of a part; see `training.inner`."""
    return inner_folds(
        part.labels, part.groups, n_classes=part.n_classes, folds=folds, seed=seed, key="search.inner_folds"
    )


def inner_loss(
    part: Part,
    settings: Recipe,
    folds: Sequence[InnerFold],
    *,
    head: str,
    jit_compile: bool,
    seed: int,
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
        on_epoch: Receives the fold's number, the epoch from 1, and the mean cross-entropy of all rows
            validated on so far, this fold's after this epoch. May raise to end it all.

    Returns:
        The mean cross-entropy of all rows, each validated once, after the last epoch.
    """
    recipe = replace(settings, jit_compile=jit_compile)
    heads = CompiledHead(head, part.features.shape[1:], part.n_classes)
    total, count = 0.0, 0
    for number, (train, validation) in enumerate(folds):
        own_seed = fit_seed(seed, number)
        fitted = heads.start(recipe, seed=own_seed)
        losses: list[float] = []

        def record(
            epoch: int,
            values: dict[str, float],
            *,
            number: int = number,
            before: tuple[float, int] = (total, count),
            size: int = len(validation),
            losses: list[float] = losses,
            fitted: keras.Model = fitted,
        ) -> None:
            # Keras adds the penalty on the weights, by which settings must not be compared.
            losses.append(values["val_loss"] - sum(float(penalty) for penalty in fitted.losses))
            on_epoch(number, epoch, (before[0] + losses[-1] * size) / (before[1] + size))

        fit_head(
            fitted,
            part.features,
            part.labels,
            train=train,
            validation=validation,
            recipe=recipe,
            seed=own_seed,
            on_epoch=record,
        )
        total += losses[-1] * len(validation)
        count += len(validation)
    return total / count


def build_objective(
    part: Part, search: Search, default: Recipe, *, head: str, seed: int
) -> Callable[[Trial], float]:
    """Makes the objective of one study.

    Args:
        part: All rows of the study.
        search: Space and inner folds.
        default: Where what is not searched comes from.
        head: A key of `HEADS`.
        seed: Of inner folds, weights and batches.

    Returns:
        A function of a trial. It reports the loss after each epoch, at step (inner fold) · (most epochs) +
        epoch, and gives up when the study's pruner says so or the loss is not finite.

    Raises:
        UserError: A class has fewer groups than folds.
    """
    parts = folds_of_part(part, folds=search.inner_folds, seed=seed)
    most_epochs = int(search.space.epochs.high)

    def objective(trial: Trial) -> float:
        settings = suggest(trial, search.space, default, attention=head == "attention")

        def report(fold: int, epoch: int, loss: float) -> None:
            if not math.isfinite(loss):
                raise TrialPruned(f"the loss is {loss}")
            trial.report(loss, fold * most_epochs + epoch)
            if trial.should_prune():
                raise TrialPruned

        try:
            return inner_loss(
                part,
                settings,
                parts,
                head=head,
                jit_compile=search.jit_compile,
                seed=seed,
                on_epoch=report,
            )
        finally:
            # Every trial has a graph of its own; hundreds of them would fill the memory.
            keras.backend.clear_session()

    return objective
