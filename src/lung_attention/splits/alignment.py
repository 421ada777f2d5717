"""A split table checked against the manifest whose images it divides."""

from __future__ import annotations

import pandas as pd

from lung_attention.errors import UserError
from lung_attention.splits.grouped import CROSS_VALIDATION

SUBSETS = ("train", "validation", "test")


def check_split(split: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Refuses a split of other images, or one that nobody could train on as it says.

    Args:
        split: A split table (image,label,group,fold,subset).
        manifest: The manifest of the same images, in the same order.

    Raises:
        UserError: The images or their order differ; or the subsets are neither "cross_validation" in every
            row nor "train", "validation" and "test".
    """
    if split["image"].tolist() != manifest["image"].tolist():
        raise UserError(
            f"the split ({len(split)} rows) and the manifest ({len(manifest)} rows) do not name the same "
            "images in the same order",
            remedy="make the splits anew with: dvc repro split",
        )
    found = set(split["subset"])
    if found != {CROSS_VALIDATION} and not found <= set(SUBSETS):
        raise UserError(
            f"expected the subsets {', '.join(SUBSETS)}, or {CROSS_VALIDATION} in every row. "
            f"Received: {', '.join(sorted(map(str, found)))}",
            remedy="make the splits anew with: dvc repro split",
        )
