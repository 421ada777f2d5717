"""The published splits, image by image as the notebooks drew them.

They ignore patients, scans and source tiles on purpose: this is what the published figures were measured on.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.utils import shuffle

# The seeds are facts of the publication: another value gives another split, not another run of this one.
_SHUFFLE_SEED = 42
_SPLIT_SEED = 10


def published_split(manifest: pd.DataFrame, dataset_id: str, *, seed: int) -> pd.DataFrame:
    """Assigns each image to a subset as published.

    - `iqoth`: shuffled, then 80/20; the test part was the validation part, too, so there is no other.
    - `lc25000`: 80/20, the rest halved; its first half is the test set.
    - `lidc`: the folders `train`, `valid` and `test` of the archive.
    - `lidc_nodules` has no published split: by image, 64/16/20 like `lidc`, stratified by class.

    Args:
        manifest: A row an image, classes in label order, natural file order inside a class. Another order
            gives the same class counts in each subset, but other images.
        dataset_id: The dataset.
        seed: Seed of the split of `lidc_nodules`, the only one that the publication does not fix.

    Returns:
        The columns `image, label, group, fold, subset` in the manifest's order; `fold` is 0, `subset` one of
        `train`, `validation`, `test`, and `group` what the image's name tells, often nothing.
    """
    rows = np.arange(len(manifest))
    validation = np.array([], dtype=int)
    if dataset_id == "iqoth":
        train, test = train_test_split(
            shuffle(rows, random_state=_SHUFFLE_SEED), test_size=0.2, random_state=_SPLIT_SEED
        )
    elif dataset_id == "lc25000":
        train, rest = train_test_split(rows, test_size=0.2, random_state=_SPLIT_SEED)
        test, validation = train_test_split(rest, test_size=0.5, random_state=_SPLIT_SEED)
    elif dataset_id == "lidc":
        part = manifest["image"].str.split("/").str[0]
        train, validation, test = (rows[part == name] for name in ("train", "valid", "test"))
    else:
        rest, test = train_test_split(rows, test_size=0.2, stratify=manifest["label"], random_state=seed)
        train, validation = train_test_split(
            rest, test_size=0.2, stratify=manifest["label"].iloc[rest], random_state=seed
        )
    subset = np.empty(len(manifest), dtype=object)
    for name, members in (("train", train), ("validation", validation), ("test", test)):
        subset[members] = name
    table = manifest[["image", "label", "group"]].copy()
    table["fold"] = 0
    table["subset"] = subset
    return table
