"""Settings that a search found: each fold has those of its own study."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lung_attention.errors import UserError
from lung_attention.files import read_json
from lung_attention.fits import fits_of
from lung_attention.settings import Settings, settings_from_json
from lung_attention.splits.protocol import REFIT


def fold_name(fold: int) -> str:
    """The name of a fold's study: `fold-0`, or `all` for the one on all rows."""
    return "all" if fold == REFIT else f"fold-{fold}"


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
    names = {fold.number: fold_name(fold.number) for fold in fits_of(table)}
    if set(names.values()) != set(studies):
        raise UserError(
            f"{path}: expected settings for {', '.join(sorted(names.values()))}, "
            f"found them for {', '.join(sorted(studies))}",
            remedy="search again with this split: make search DATASET=… BACKBONE=… HEAD=…",
        )
    return {number: settings_from_json(studies[name]["settings"]) for number, name in names.items()}
