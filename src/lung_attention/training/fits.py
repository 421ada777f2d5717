"""All fits of a cell: every seed and fold, and the model that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from lung_attention.models.heads import build_head
from lung_attention.splits.protocol import Fold, folds, is_cross_validation, refit
from lung_attention.training.fitting import (
    HISTORY_KEYS,
    Features,
    Labels,
    compile_head,
    fit_head,
    predict,
    restart,
)
from lung_attention.training.progress import EpochReport
from lung_attention.training.recipe import Recipe, Settings


@dataclass(frozen=True)
class FittedCell:
    """What a cell's fits give.

    Attributes:
        head: The model that is kept: of a published split the first seed's, of a grouped one a refit on all
            images with the first seed.
        predictions: A row a seed and test image: image, label, fold, seed and one probability a class.
        history: A row a seed, fold and epoch: loss and accuracy, of the monitored rows as well.
    """

    head: keras.Model
    predictions: pd.DataFrame
    history: pd.DataFrame


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
        shape: Of one image's features: rows, cols, channels.
        n_classes: Number of classes.
    """

    def __init__(self, name: str, shape: tuple[int, int, int], n_classes: int) -> None:
        self._name = name
        self._shape = shape
        self._n_classes = n_classes
        self._head: keras.Model = None
        self._recipe: Recipe | None = None

    def start(self, recipe: Recipe, *, seed: int) -> keras.Model:
        """Makes the head as good as new.

        Args:
            recipe: Of the head and its fit. The head of another recipe is of no use any more.
            seed: Of its weights.

        Returns:
            A head that is compiled and not fitted.
        """
        if self._recipe not in (None, recipe):
            # Each head has a graph of its own; many would fill the memory.
            keras.backend.clear_session()
        fresh = build_head(self._name, self._shape, self._n_classes, recipe, seed=seed)
        if self._recipe == recipe:
            restart(self._head, fresh, learning_rate=recipe.learning_rate)
        else:
            compile_head(fresh, recipe)
            self._head, self._recipe = fresh, recipe
        return self._head


def fit_cell(
    features: Features,
    table: pd.DataFrame,
    classes: Sequence[str],
    settings: Settings,
    *,
    head: str,
    seeds: Sequence[int],
    monitor: bool,
    on_epoch: EpochReport,
) -> FittedCell:
    """Fits a cell as its split table asks.

    Weights and batches depend on seed and fold alone, so that cells differ by their settings. Fits in a row
    with the same settings share one compiled head, which starts anew each time.

    Args:
        features: `(n, rows, cols, channels)`, rows as in the table, may be memory-mapped.
        table: A split table.
        classes: Class names in label order.
        settings: How a head is built and fitted, for each fit.
        head: A key of `HEADS`.
        seeds: One complete set of fits each; a refit takes the first.
        monitor: Whether the learning curves show the monitored rows, too. Where those are the test rows, they
            are else predicted once, at the end.
        on_epoch: Receives seed, fold, epoch and the epoch's values.

    Returns:
        The kept model, out-of-sample predictions, and learning curves.
    """
    labels = label_numbers(table, classes)
    nothing = np.array([], dtype=np.int64)
    history: list[dict[str, float]] = []
    heads = CompiledHead(head, features.shape[1:], len(classes))

    def fit(seed: int, fold: Fold) -> keras.Model:
        recipe, number = settings.of(fold.number), fit_seed(seed, fold.number)
        fitted = heads.start(recipe, seed=number)

        def record(epoch: int, values: dict[str, float]) -> None:
            history.append({"seed": seed, "fold": fold.number, "epoch": epoch, **values})
            on_epoch(seed, fold.number, epoch, values)

        fit_head(
            fitted,
            features,
            labels,
            train=fold.train,
            validation=fold.monitored if monitor else nothing,
            recipe=recipe,
            seed=number,
            on_epoch=record,
        )
        return fitted

    kept: list[npt.NDArray[np.float32]] = []
    predicted: list[pd.DataFrame] = []
    for seed in seeds:
        for fold in folds(table):
            fitted = fit(seed, fold)
            part = table.iloc[fold.test][["image", "label", "fold"]].assign(seed=seed)
            batch_size = settings.of(fold.number).batch_size
            probabilities = predict(fitted, features, fold.test, batch_size=batch_size)
            for number, name in enumerate(classes):
                part[f"probability_{name}"] = probabilities[:, number]
            predicted.append(part)
            kept = kept or fitted.get_weights()
    if is_cross_validation(table):
        fitted = fit(seeds[0], refit(table))
    else:
        fitted.set_weights(kept)
    columns = ["seed", "fold", "epoch", *HISTORY_KEYS]
    return FittedCell(
        head=fitted,
        predictions=pd.concat(predicted, ignore_index=True),
        history=pd.DataFrame(history, columns=columns),
    )
