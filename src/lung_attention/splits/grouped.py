"""The grouped protocol: cross-validation in which no group stands on two sides."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from lung_attention.errors import UserError

CROSS_VALIDATION = "cross_validation"


def grouped_split(manifest: pd.DataFrame, groups: pd.Series[str], *, folds: int, seed: int) -> pd.DataFrame:
    """Draws a stratified grouped k-fold.

    Args:
        manifest: A row an image.
        groups: The group of each image, rows as in the manifest, none empty.
        folds: k.
        seed: Seed of the assignment of groups to folds.

    Returns:
        The columns `image, label, group, fold, subset` in the manifest's order. An image is tested in fold
        `fold` and trained on in every other; `subset` is `cross_validation`.

    Raises:
        UserError: A class has fewer groups than folds, so that some fold would train or test without it.
    """
    per_class = groups.groupby(manifest["label"].to_numpy()).nunique()
    if (per_class < folds).any():
        raise UserError(
            f"class {per_class.idxmin()!r} has {per_class.min()} groups, fewer than the {folds} folds",
            remedy="lower split.folds in params.yaml",
        )
    table = manifest[["image", "label"]].copy()
    table["group"] = groups.to_numpy()
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    fold_of = np.zeros(len(table), dtype=np.int64)
    for fold, (_, test) in enumerate(
        splitter.split(np.zeros(len(table)), table["label"], groups=table["group"])
    ):
        fold_of[test] = fold
    table["fold"] = fold_of
    images = pd.crosstab(table["fold"], table["label"])
    for fold, label in np.argwhere(images.to_numpy() == 0):
        raise UserError(
            f"fold {images.index[fold]} has no image of class {images.columns[label]!r}, "
            "since groups carry more than one class",
            remedy="lower split.folds, or change split.seed, in params.yaml",
        )
    table["subset"] = CROSS_VALIDATION
    return table
