"""Settings that a search found: each fold has those of its own study."""

from __future__ import annotations

from pathlib import Path

from lung_attention.errors import UserError
from lung_attention.files import read_json, read_table, sha256
from lung_attention.splits.protocol import REFIT
from lung_attention.training.fits import fits_of
from lung_attention.training.settings import Settings, settings_from_json


def fold_name(fold: int) -> str:
    """The name of a fold's study: `fold-0`, or `all` for the one on all rows."""
    return "all" if fold == REFIT else f"fold-{fold}"


def found_settings(path: Path, split: Path) -> dict[int, Settings]:
    """The settings of each fold, of what a search left.

    Args:
        path: `results/<profile>/search/<cell>.json`.
        split: The grouped split table.

    Returns:
        Settings by fold, `REFIT` for the refit on all rows.

    Raises:
        UserError: The search was on another split: a fold's settings may have been chosen by its test images.
    """
    found = read_json(path)
    ours = sha256(split)
    if found["split"] != ours:
        raise UserError(
            f"{path}: searched on another split (expected {split} with SHA-256 {ours}, "
            f"received {found['split']}), so it may have seen test images of this one",
            remedy="search again with this split: make search DATASET=… BACKBONE=… HEAD=…",
        )
    studies = found["studies"]
    names = {fold.number: fold_name(fold.number) for fold in fits_of(read_table(split))}
    return {number: settings_from_json(studies[name]["settings"]) for number, name in names.items()}
