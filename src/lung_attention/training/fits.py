"""All fits of a cell: every seed and fold, and the model that is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from lung_attention.training.settings import Settings

EpochReport = Callable[[int, int, int, dict[str, float]], None]


@dataclass(frozen=True)
class FittedCell:
    """What a cell's fits give.

    Attributes:
        head: The model that is kept: of a published split the first seed's, of a grouped one a refit on all
            images with the first seed.
        predictions: A row a seed and test image: image, label, fold, seed and one probability a class.
        history: A row a seed, fold and epoch: loss and accuracy, of the watched rows as well.
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
        shape: Of one image's features: rows, cols, channels.
        n_classes: Number of classes.
        attention: Whether the head has the soft attention.
    """

    def __init__(self, shape: tuple[int, int, int], n_classes: int, *, attention: bool) -> None:
        self._shape = shape
        self._n_classes = n_classes
        self._attention = attention
        self._head: keras.Model = None
        self._settings: Settings | None = None

    def start(self, settings: Settings, *, seed: int) -> keras.Model:
        """Makes the head as good as new.

        Args:
            settings: Of the head and its fit. The head of other settings is of no use any more.
            seed: Of its weights.

        Returns:
            A head that is compiled and not fitted.
        """
        recipe = settings.recipe
        if self._settings not in (None, settings):
            # Each head has a graph of its own; many would fill the memory.
            keras.backend.clear_session()
        fresh = build_head(
            self._shape,
            self._n_classes,
            attention=self._attention,
            hidden_units=recipe.hidden_units,
            attention_maps=recipe.attention_maps,
            attention_gamma=recipe.attention_gamma,
            attention_activation=recipe.attention_activation,
            pooling=recipe.pooling,
            dropout=recipe.dropout,
            l2=recipe.l2,
            seed=seed,
        )
        if self._settings == settings:
            restart(self._head, fresh, learning_rate=settings.learning_rate)
        else:
            compile_head(fresh, learning_rate=settings.learning_rate, jit_compile=recipe.jit_compile)
            self._head, self._settings = fresh, settings
        return self._head


def fit_cell(
    features: Features,
    table: pd.DataFrame,
    classes: Sequence[str],
    settings: Mapping[int, Settings],
    *,
    attention: bool,
    seeds: Sequence[int],
    watch: bool,
    on_epoch: EpochReport,
) -> FittedCell:
    """Fits a cell as its split table asks.

    Weights and batches depend on seed and fold alone, so that cells differ by their settings. Fits in a row
    with the same settings share one compiled head, which starts anew each time.

    Args:
        features: `(n, rows, cols, channels)`, rows as in the table, may be memory-mapped.
        table: A split table.
        classes: Class names in label order.
        settings: How a head is built and fitted, for each of `fits_of`.
        attention: Whether the head has the soft attention.
        seeds: One complete set of fits each; a refit takes the first.
        watch: Whether the learning curves show the watched rows, too. Where those are the test rows, they are
            else predicted once, at the end.
        on_epoch: Receives seed, fold, epoch and the epoch's values.

    Returns:
        The kept model, out-of-sample predictions, and learning curves.
    """
    labels = label_numbers(table, classes)
    nothing = np.array([], dtype=np.int64)
    history: list[dict[str, float]] = []
    heads = CompiledHead(features.shape[1:], len(classes), attention=attention)

    def fit(seed: int, fold: Fold) -> keras.Model:
        recipe, number = settings[fold.number].recipe, fit_seed(seed, fold.number)
        head = heads.start(settings[fold.number], seed=number)

        def record(epoch: int, values: dict[str, float]) -> None:
            history.append({"seed": seed, "fold": fold.number, "epoch": epoch, **values})
            on_epoch(seed, fold.number, epoch, values)

        fit_head(
            head,
            features,
            labels,
            train=fold.train,
            watched=fold.watched if watch else nothing,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            seed=number,
            on_epoch=record,
        )
        return head

    kept: list[npt.NDArray[np.float32]] = []
    predicted: list[pd.DataFrame] = []
    for seed in seeds:
        for fold in folds(table):
            head = fit(seed, fold)
            part = table.iloc[fold.test][["image", "label", "fold"]].assign(seed=seed)
            batch_size = settings[fold.number].recipe.batch_size
            probabilities = predict(head, features, fold.test, batch_size=batch_size)
            for number, name in enumerate(classes):
                part[f"probability_{name}"] = probabilities[:, number]
            predicted.append(part)
            kept = kept or head.get_weights()
    if is_cross_validation(table):
        head = fit(seeds[0], refit(table))
    else:
        head.set_weights(kept)
    columns = ["seed", "fold", "epoch", *HISTORY_KEYS]
    return FittedCell(
        head=head,
        predictions=pd.concat(predicted, ignore_index=True),
        history=pd.DataFrame(history, columns=columns),
    )
