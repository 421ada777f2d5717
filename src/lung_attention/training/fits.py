"""All fits of a cell: every seed and fold, and the model that is kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from lung_attention.errors import UserError
from lung_attention.images.view import View
from lung_attention.models.heads import build_head
from lung_attention.models.logistic import pooled
from lung_attention.splits.grouped import grouped_split
from lung_attention.splits.protocol import Fold, folds, is_cross_validation, refit
from lung_attention.training.fitting import (
    HISTORY_KEYS,
    Features,
    Labels,
    Rows,
    compile_head,
    fit_head,
    predict,
    restart,
    start_head,
)
from lung_attention.training.progress import EpochReport
from lung_attention.training.recipe import Recipe, Settings, fold_name

Record = Callable[[int, dict[str, float]], None]
"""Receives an epoch's number, from 1, and its values."""


@dataclass(frozen=True)
class Source:
    """Where a cell's images and its backbone come from, for recipes that fit more than a head.

    Attributes:
        archive: The zip whose members are the images.
        backbone: A key of `BACKBONES`.
        weights: Its weight file.
        view: What the network is shown of an image.
        image_size_px: Side of the square that it becomes.
        checkpoints: The folder of what a killed training goes on from; of this training's inputs alone.
    """

    archive: Path
    backbone: str
    weights: Path
    view: View
    image_size_px: int
    checkpoints: Path


@dataclass(frozen=True)
class Material:
    """What the fits of a cell are given.

    Attributes:
        features: `(n, rows, cols, channels)`, rows as in the table, may be memory-mapped; of the view that
            the kept model looks at.
        table: The split table.
        classes: Class names in label order.
        settings: How a head is built and fitted, for each fit.
        head: A key of `HEADS`.
        seeds: One complete set of fits each; a refit takes the first.
        partitions: For each seed that of its partition into folds; None where all have that of the table.
        source: The images and the backbone, for recipes that fit more than a head.
        views: Features by view where a search chose other views for other fits; None where all fits look at
            the same.
    """

    features: Features
    table: pd.DataFrame
    classes: Sequence[str]
    settings: Settings
    head: str
    seeds: Sequence[int]
    partitions: Sequence[int] | None = None
    source: Source | None = None
    views: Mapping[str, Features] | None = None

    def seen_by(self, recipe: Recipe) -> Features:
        """The features of what a fit looks at."""
        return self.features if self.views is None else self.views[recipe.view]

    @property
    def labels(self) -> Labels:
        """The class number of each row."""
        return label_numbers(self.table, self.classes)

    @property
    def groups(self) -> npt.NDArray[np.str_]:
        """The group of each row; its image where none is known, as on the published split."""
        groups, images = (self.table[name].to_numpy(dtype=np.str_) for name in ("group", "image"))
        return np.where(groups == "", images, groups)

    def table_of(self, number: int) -> pd.DataFrame:
        """The split table of a seed, by its place among the seeds."""
        if self.partitions is None or not is_cross_validation(self.table):
            return self.table
        count = self.table["fold"].nunique()
        return grouped_split(self.table, self.table["group"], folds=count, seed=self.partitions[number])


@dataclass(frozen=True)
class Fitted:
    """One fit.

    Attributes:
        model: Whose weights are kept, from features (or images) to probabilities.
        predict: From the rows tested to their probabilities, `(rows, classes)`.
        chosen: What was chosen for it, by name.
    """

    model: keras.Model
    predict: Callable[[Rows], npt.NDArray[np.float32]]
    chosen: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FittedCell:
    """What a cell's fits give.

    Attributes:
        head: The model that is kept: of a published split the first seed's, of a grouped one a refit on all
            images with the first seed.
        predictions: A row a seed and test image: image, label, fold, seed and one probability a class.
        history: A row a seed, fold and epoch: loss and accuracy, of the monitored rows as well.
        chosen: For each fit of which anything was chosen: seed, fold, and what by name.
        classifier: The whole classifier whose head that is; None where a frozen backbone stands before it.
    """

    head: keras.Model
    predictions: pd.DataFrame
    history: pd.DataFrame
    chosen: list[dict[str, Any]]
    classifier: keras.Model | None = None


def require_finite(values: Mapping[str, float], *, seed: int, fold: int, epoch: int) -> None:
    """Refuses a fit that has lost its way: all that follows would be numbers without meaning.

    Raises:
        UserError: A value of the epoch is not finite.
    """
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if bad:
        raise UserError(
            f"the fit of seed {seed}, {fold_name(fold)} has {bad} after epoch {epoch}",
            remedy="lower the recipe's learning_rate in params.yaml (train), or in the dataset's file",
        )


def fit_seed(seed: int, fold: int) -> int:
    """The seed of one fit; fits of neighbouring seeds and folds share nothing."""
    return int(np.random.SeedSequence([seed, fold + 1]).generate_state(1)[0] >> 1)


def fits_of(table: pd.DataFrame) -> list[Fold]:
    """All fits of a cell with one seed: its folds and, of a grouped split, the refit on all rows."""
    return [*folds(table), refit(table)] if is_cross_validation(table) else list(folds(table))


def label_numbers(table: pd.DataFrame, classes: Sequence[str]) -> Labels:
    """The class number of each row."""
    return pd.Categorical(table["label"], categories=list(classes)).codes.astype(np.int64)


class CompiledHead:
    """A compiled head for many fits; in a row with the same settings they need not be compiled anew.

    Args:
        name: A key of `HEADS`.
        n_classes: Number of classes.
    """

    def __init__(self, name: str, n_classes: int) -> None:
        self._name = name
        self._n_classes = n_classes
        self._head: keras.Model = None
        self._recipe: Recipe | None = None

    @property
    def head(self) -> keras.Model:
        """The head that was started last."""
        return self._head

    def start(self, recipe: Recipe, shape: tuple[int, int, int], *, seed: int) -> keras.Model:
        """Makes the head as good as new.

        Args:
            recipe: Of the head and its fit. The head of another recipe is of no use any more.
            shape: Of one image's features, in the recipe's view: rows, cols, channels.
            seed: Of its weights.

        Returns:
            A head that is compiled and not fitted.
        """
        if self._recipe not in (None, recipe):
            # Each head has a graph of its own; many would fill the memory.
            keras.backend.clear_session()
        fresh = build_head(self._name, shape, self._n_classes, recipe, seed=seed)
        if self._recipe == recipe:
            restart(self._head, fresh, learning_rate=recipe.learning_rate)
        else:
            compile_head(fresh, recipe)
            self._head, self._recipe = fresh, recipe
        return self._head


def run_fits(
    material: Material, fit_one: Callable[[int, Fold, Record], Fitted], on_epoch: EpochReport
) -> FittedCell:
    """Makes all fits that the split table asks for.

    Args:
        material: What the fits are given.
        fit_one: Makes the fit of a seed and fold. It may hand out the same model again and again.
        on_epoch: Receives seed, fold, epoch and the epoch's values.

    Returns:
        The kept model, out-of-sample predictions, and learning curves.
    """
    history: list[dict[str, float]] = []
    chosen: list[dict[str, Any]] = []

    def fit(seed: int, fold: Fold) -> Fitted:
        def record(epoch: int, values: dict[str, float]) -> None:
            require_finite(values, seed=seed, fold=fold.number, epoch=epoch)
            history.append({"seed": seed, "fold": fold.number, "epoch": epoch, **values})
            on_epoch(seed, fold.number, epoch, values)

        fitted = fit_one(seed, fold, record)
        if fitted.chosen:
            chosen.append({"seed": seed, "fold": fold.number, **fitted.chosen})
        return fitted

    kept: list[npt.NDArray[np.float32]] = []
    predicted: list[pd.DataFrame] = []
    for number, seed in enumerate(material.seeds):
        table = material.table_of(number)
        for fold in folds(table):
            fitted = fit(seed, fold)
            part = table.iloc[fold.test][["image", "label", "fold"]].assign(seed=seed)
            probabilities = fitted.predict(fold.test)
            for column, name in enumerate(material.classes):
                part[f"probability_{name}"] = probabilities[:, column]
            predicted.append(part)
            kept = kept or fitted.model.get_weights()
    if is_cross_validation(material.table):
        fitted = fit(material.seeds[0], refit(material.table))
    else:
        fitted.model.set_weights(kept)
    columns = ["seed", "fold", "epoch", *HISTORY_KEYS]
    return FittedCell(
        head=fitted.model,
        predictions=pd.concat(predicted, ignore_index=True),
        history=pd.DataFrame(history, columns=columns),
        chosen=chosen,
    )


def fit(material: Material, on_epoch: EpochReport) -> FittedCell:
    """Fits a cell with given settings.

    Weights and batches depend on seed and fold alone, so that cells differ by their settings. Fits in a row
    with the same settings share one compiled head, which starts anew each time. Where settings were chosen
    for a fold, its test part is predicted once, at the end; else the learning curves show the monitored rows,
    which may be the test rows.

    Args:
        material: What the fits are given.
        on_epoch: Receives seed, fold, epoch and the epoch's values.

    Returns:
        The kept model, out-of-sample predictions, and learning curves.
    """
    labels, settings = material.labels, material.settings
    nothing = np.array([], dtype=np.int64)
    heads = CompiledHead(material.head, len(material.classes))
    regressed = {recipe.view: recipe for recipe in settings.by_fit.values() if recipe.start == "logistic"}
    columns = {view: pooled(material.seen_by(recipe)) for view, recipe in regressed.items()}

    def fit_one(seed: int, fold: Fold, record: Record) -> Fitted:
        recipe, number = settings.of(fold.number), fit_seed(seed, fold.number)
        features = material.seen_by(recipe)
        fitted = heads.start(recipe, features.shape[1:], seed=number)
        if recipe.start == "logistic":
            start_head(fitted, columns[recipe.view][fold.train], labels[fold.train], recipe)
        fit_head(
            fitted,
            features,
            labels,
            train=fold.train,
            validation=fold.monitored if settings.split is None else nothing,
            recipe=recipe,
            seed=number,
            on_epoch=record,
        )
        return Fitted(fitted, lambda rows: predict(fitted, features, rows, batch_size=recipe.batch_size))

    return run_fits(material, fit_one, on_epoch)
