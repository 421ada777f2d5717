"""The published splits, image by image as the notebooks drew them.

They ignore patients, scans and source tiles on purpose: this is what the published results were measured on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle

from lung_attention.errors import UserError
from lung_attention.splits.settings import FolderSplit, NotebookSplit, PublishedSplit

Rows = npt.NDArray[np.int64]

_REMEDY = "add images, or change published_split in the dataset's file"


def published_split(manifest: pd.DataFrame, drawn: PublishedSplit, *, seed: int) -> pd.DataFrame:
    """Assigns each image to a subset as published.

    Args:
        manifest: A row an image, classes in label order, natural file order inside a class. Another order
            gives the same class counts in each subset, but other images.
        drawn: How the split was drawn.
        seed: Seed of a split that the publication does not fix.

    Returns:
        The columns `image, label, group, fold, subset` in the manifest's order; `fold` is 0, `subset` one of
        `train`, `validation`, `test`, and `group` what the image's name tells, often nothing.

    Raises:
        UserError: Some images are in none of the folders, there are too few to be split, or a class has none
            to train or none to test on.
    """
    labels = manifest["label"]
    try:
        train, validation, test = _drawn(manifest, drawn, seed=seed)
    except ValueError as error:  # of scikit-learn
        raise UserError(
            f"{labels.value_counts().to_dict()} images cannot be split at random ({error})", remedy=_REMEDY
        ) from error
    for part, members in (("training", train), ("test", test)):
        if absent := sorted(set(labels) - set(labels.iloc[members])):
            raise UserError(
                f"the published split has no {part} image of class {absent[0]!r}, which a classifier can "
                "neither learn nor be measured on then",
                remedy=f"{_REMEDY}, or take the other split alone: --set 'splits=[grouped]'",
            )
    subset = np.empty(len(manifest), dtype=object)
    for name, members in (("train", train), ("validation", validation), ("test", test)):
        subset[members] = name
    table = manifest[["image", "label", "group"]].copy()
    table["fold"] = 0
    table["subset"] = subset
    return table


def _drawn(manifest: pd.DataFrame, drawn: PublishedSplit, *, seed: int) -> tuple[Rows, Rows, Rows]:
    """The rows of the training, validation and test images."""
    rows = np.arange(len(manifest))
    if isinstance(drawn, NotebookSplit):
        ordered = rows if drawn.shuffle_seed is None else shuffle(rows, random_state=drawn.shuffle_seed)
        train, test = train_test_split(ordered, test_size=drawn.held_out, random_state=drawn.seed)
        validation = np.array([], dtype=np.int64)
        if drawn.validation is not None:
            test, validation = train_test_split(test, test_size=drawn.validation, random_state=drawn.seed)
    elif isinstance(drawn, FolderSplit):
        part = manifest["image"].str.split("/").str[0]
        strangers = sorted(set(part) - {drawn.train, drawn.validation, drawn.test})
        if strangers:
            raise UserError(
                f"images in {strangers}, which is none of the folders {drawn.train}, {drawn.validation}, "
                f"{drawn.test} of the published split",
                remedy="correct published_split in the dataset's file",
            )
        train, validation, test = (rows[part == name] for name in (drawn.train, drawn.validation, drawn.test))
    else:
        labels = manifest["label"]
        rest, test = train_test_split(rows, test_size=drawn.test, stratify=labels, random_state=seed)
        train, validation = train_test_split(
            rest, test_size=drawn.validation, stratify=labels.iloc[rest], random_state=seed
        )
    return train, validation, test
