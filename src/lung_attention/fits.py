"""All fits of a cell: every seed and fold, and the model that is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from lung_attention.models.heads import build_head
from lung_attention.settings import Settings
from lung_attention.splits.protocol import Fold, folds, is_cross_validation, refit
from lung_attention.training import (
    HISTORY_KEYS,
    Features,
    Labels,
    compile_head,
    fit_head,
    predict,
    restart,
)

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


def label_numbers(table: pd.DataFrame, classes: Sequence[str]) -> Labels:
    """The class number of each row."""
    return pd.Categorical(table["label"], categories=list(classes)).codes.astype(np.int64)


def new_head(
    shape: tuple[int, int, int], n_classes: int, settings: Settings, *, attention: bool, seed: int
) -> keras.Model:
    """Builds the head of some settings, not compiled.

    Args:
        shape: Of one image's features: rows, cols, channels.
        n_classes: Number of classes.
        settings: Of the head.
        attention: Whether the head has the soft attention.
        seed: Of its weights.
    """
    recipe = settings.recipe
    return build_head(
        shape,
        n_classes,
        attention=attention,
        hidden_units=recipe.hidden_units,
        attention_maps=recipe.attention_maps,
        attention_gamma=recipe.attention_gamma,
        attention_activation=recipe.attention_activation,
        pooling=recipe.pooling,
        dropout=recipe.dropout,
        l2=recipe.l2,
        seed=seed,
    )


def fit_cell(
    features: Features,
    table: pd.DataFrame,
    classes: Sequence[str],
    settings: Settings,
    *,
    attention: bool,
    seeds: Sequence[int],
    on_epoch: EpochReport,
) -> FittedCell:
    """Fits a cell as its split table asks.

    All fits share one compiled head, which starts anew each time, with other weights for each seed and fold.

    Args:
        features: `(n, rows, cols, channels)`, rows as in the table.
        table: A split table.
        classes: Class names in label order.
        settings: How a head is built and fitted.
        attention: Whether the head has the soft attention.
        seeds: One complete set of fits each.
        on_epoch: Receives seed, fold, epoch and the epoch's values.

    Returns:
        The kept model, out-of-sample predictions, and learning curves.
    """
    recipe = settings.recipe
    labels = label_numbers(table, classes)
    history: list[dict[str, float]] = []

    def fresh(seed: int) -> keras.Model:
        return new_head(features.shape[1:], len(classes), settings, attention=attention, seed=seed)

    head = fresh(0)
    compile_head(head, learning_rate=settings.learning_rate, jit_compile=recipe.jit_compile)

    def fit(seed: int, fold: Fold) -> None:
        number = fit_seed(seed, fold.number)
        restart(head, fresh(number), learning_rate=settings.learning_rate)

        def record(epoch: int, values: dict[str, float]) -> None:
            history.append({"seed": seed, "fold": fold.number, "epoch": epoch, **values})
            on_epoch(seed, fold.number, epoch, values)

        fit_head(
            head,
            features,
            labels,
            train=fold.train,
            watched=fold.watched,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            seed=number,
            on_epoch=record,
        )

    kept: list[npt.NDArray[np.float32]] = []
    predicted: list[pd.DataFrame] = []
    for seed in seeds:
        for fold in folds(table):
            fit(seed, fold)
            part = table.iloc[fold.test][["image", "label", "fold"]].assign(seed=seed)
            probabilities = predict(head, features, fold.test, batch_size=recipe.batch_size)
            for number, name in enumerate(classes):
                part[f"probability_{name}"] = probabilities[:, number]
            predicted.append(part)
            kept = kept or head.get_weights()
    if is_cross_validation(table):
        fit(seeds[0], refit(table))
        kept = head.get_weights()
    head.set_weights(kept)
    columns = ["seed", "fold", "epoch", *HISTORY_KEYS]
    return FittedCell(
        head=head,
        predictions=pd.concat(predicted, ignore_index=True),
        history=pd.DataFrame(history, columns=columns),
    )
