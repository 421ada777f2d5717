"""Fits with the settings that a search found: each fold with those of its own study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from lung_attention.errors import UserError
from lung_attention.files import read_json
from lung_attention.fits import EpochReport, FittedCell, fit_seed, label_numbers, new_head
from lung_attention.settings import Settings, settings_from_json
from lung_attention.splits.protocol import REFIT, Fold, folds, refit
from lung_attention.training import HISTORY_KEYS, Features, compile_head, fit_head, predict


def fold_name(fold: int) -> str:
    """The name of a fold's study: `fold-0`, or `all` for the one on all rows."""
    return "all" if fold == REFIT else f"fold-{fold}"


def outer_parts(table: pd.DataFrame) -> list[Fold]:
    """The studies of a grouped split: its folds, and all rows."""
    return [*folds(table), refit(table)]


def found_settings(path: Path, table: pd.DataFrame) -> dict[int, Settings]:
    """The settings of each fold, of what a search left.

    Args:
        path: `results/<profile>/search/<cell>.json`.
        table: The grouped split table.

    Returns:
        Settings by fold, `REFIT` for the refit on all rows.

    Raises:
        UserError: The search had other folds.
    """
    studies = read_json(path)["studies"]
    names = {fold.number: fold_name(fold.number) for fold in outer_parts(table)}
    if set(names.values()) != set(studies):
        raise UserError(
            f"{path}: expected settings for {', '.join(sorted(names.values()))}, "
            f"found them for {', '.join(sorted(studies))}",
            remedy="search again with this split: make search DATASET=… BACKBONE=… HEAD=…",
        )
    return {number: settings_from_json(studies[name]["settings"]) for number, name in names.items()}


def fit_tuned(
    features: Features,
    table: pd.DataFrame,
    classes: Sequence[str],
    settings: Mapping[int, Settings],
    *,
    attention: bool,
    seeds: Sequence[int],
    on_epoch: EpochReport,
) -> FittedCell:
    """Fits each outer training part with the settings found on it, and predicts its test part, once.

    Seeds give the same weights and batches as in `lung_attention.fits.fit_cell`, so that tuned and default
    predictions differ by the settings alone.

    Args:
        features: `(n, rows, cols, channels)`, rows as in the table, may be memory-mapped.
        table: A grouped split table.
        classes: Class names in label order.
        settings: Of each fold, and of the refit on all rows.
        attention: Whether the head has the soft attention.
        seeds: One complete set of fits each; the refit takes the first.
        on_epoch: Receives seed, fold, epoch and the epoch's values.

    Returns:
        The head fitted on all rows, out-of-fold predictions, each image once a seed, and learning curves. The
        curves are of fitted rows alone: test parts are predicted and not watched.
    """
    labels = label_numbers(table, classes)
    nothing = np.array([], dtype=np.int64)
    history: list[dict[str, float]] = []

    def fit(seed: int, fold: Fold) -> keras.Model:
        of_fold = settings[fold.number]
        number = fit_seed(seed, fold.number)
        head = new_head(features.shape[1:], len(classes), of_fold, attention=attention, seed=number)
        compile_head(head, learning_rate=of_fold.learning_rate, jit_compile=of_fold.recipe.jit_compile)

        def record(epoch: int, values: dict[str, float]) -> None:
            history.append({"seed": seed, "fold": fold.number, "epoch": epoch, **values})
            on_epoch(seed, fold.number, epoch, values)

        fit_head(
            head,
            features,
            labels,
            train=fold.train,
            watched=nothing,
            epochs=of_fold.recipe.epochs,
            batch_size=of_fold.recipe.batch_size,
            seed=number,
            on_epoch=record,
        )
        return head

    predicted = []
    for seed in seeds:
        for fold in folds(table):
            head = fit(seed, fold)
            part = table.iloc[fold.test][["image", "label", "fold"]].assign(seed=seed)
            batch_size = settings[fold.number].recipe.batch_size
            probabilities = predict(head, features, fold.test, batch_size=batch_size)
            for number, name in enumerate(classes):
                part[f"probability_{name}"] = probabilities[:, number]
            predicted.append(part)
            keras.backend.clear_session()
    return FittedCell(
        head=fit(seeds[0], refit(table)),
        predictions=pd.concat(predicted, ignore_index=True),
        history=pd.DataFrame(history, columns=["seed", "fold", "epoch", *HISTORY_KEYS]),
    )
