"""Figures of this machine against the committed ones.

Another CPU rounds differently, so trained weights and metrics differ a little from machine to machine; on one
machine they are equal to the last bit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pandas as pd

from lung_attention.cells import Cell
from lung_attention.errors import UserError
from lung_attention.files import read_json
from lung_attention.paths import Paths
from lung_attention.workflow.git import git

SCORES = ("accuracy", "balanced_accuracy", "auroc_ovr")


def compare_with_commit(cells: Sequence[Cell], paths: Paths, *, revision: str) -> pd.DataFrame:
    """Compares the work tree's metrics with those of a commit.

    Args:
        cells: The cells to compare.
        paths: The profile's files, relative to the current folder, the repository's root.
        revision: The commit, such as `HEAD`.

    Returns:
        A row a cell and score of `SCORES`: cell, score, committed, here, difference (absolute, in fractions
        of 1). An undefined score is NaN; the difference from a defined one is infinite.

    Raises:
        UserError: A file is missing on either side.
    """
    rows = []
    for cell in cells:
        path = paths.metrics(cell)
        if not path.exists():
            raise UserError(f"{path} is missing", remedy="dvc repro")
        try:
            shown = git("show", f"{revision}:{path.as_posix()}")
        except UserError as error:
            raise UserError(
                f"{revision} holds no {path}: {error.problem}", remedy="name another --revision"
            ) from error
        committed, here = json.loads(shown), read_json(path)
        rows += [(cell.name, score, committed[score], here[score]) for score in SCORES]
    table = pd.DataFrame(rows, columns=["cell", "score", "committed", "here"])
    numbers = table[["committed", "here"]].astype(float)
    difference = (numbers["here"] - numbers["committed"]).abs()
    undefined = numbers.isna().sum(axis=1)
    return table.assign(
        **numbers, difference=difference.mask(undefined == 1, math.inf).mask(undefined == 2, 0.0)
    )
