"""Further fits of a cell, to see what of its maps hangs on a seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count, islice
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from lung_attention.cells import Cell
from lung_attention.splits.protocol import is_cross_validation
from lung_attention.training.fits import Material
from lung_attention.training.recipe import settings_from_json
from lung_attention.training.recipes import RECIPES, fit_by


def can_be_refitted(cell: Cell, table: pd.DataFrame) -> bool:
    """Whether a further fit costs one fit of a head: no backbone is fitted with it, and no folds."""
    return not RECIPES[cell.recipe].images and not is_cross_validation(table)


def other_seeds(seeds: Sequence[int], wanted: int) -> list[int]:
    """Seeds other than the first, whose model a cell keeps: its own ones, then new ones."""
    return list(islice((*seeds[1:], *islice(count(max(seeds) + 1), wanted)), wanted))


def refits(
    cell: Cell,
    features: npt.NDArray[np.float16],
    table: pd.DataFrame,
    content: Mapping[str, Any],
    *,
    wanted: int,
) -> Iterator[keras.Model]:
    """Fits the head of a cell as its training did, with other seeds.

    Args:
        cell: One that can be refitted.
        features: `(n, rows, cols, channels)`, rows as in the table.
        table: Its split table.
        content: Its settings, as they stand in its file.
        wanted: How many fits.

    Yields:
        The fitted head of each seed.
    """
    settings = settings_from_json(content)
    for seed in other_seeds(content["seeds"], wanted):
        material = Material(features, table, content["classes"], settings, cell.head, [seed])
        yield fit_by(cell.recipe, material, lambda *_: None).head
