"""What crosses the subsets of a split: identical files, near-duplicates and groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lung_attention.images.similarity import near_pairs
from lung_attention.splits.alignment import SUBSETS
from lung_attention.splits.protocol import folds, is_cross_validation

Json = dict[str, Any]


@dataclass(frozen=True)
class Images:
    """What is known of each image, rows as in the manifest.

    Attributes:
        names: `(n,)` strings.
        labels: `(n,)` class names.
        files: `(n,)` integers from 0, equal for byte-identical files.
        groups: `(n,)` integers from 0, equal within a group; -1 where the group is unknown.
        group_names: The name of each group, by its integer.
    """

    names: NDArray[Any]
    labels: NDArray[Any]
    files: NDArray[np.intp]
    groups: NDArray[np.intp]
    group_names: list[str]


@dataclass
class Partition:
    """The images in subsets or in folds, with the near-duplicates that `mark_near_duplicates` finds.

    Attributes:
        fold: The tested fold, or -1 for a whole split.
        parts: Names of the subsets or folds.
        codes: `(n,)`, the part of each image as a position in `parts`.
        near: `(parts, parts)`, number of near-duplicate pairs, the part of the earlier image first.
        has_near: `(n, parts)`, whether an image has a near-duplicate in a part.
    """

    fold: int
    parts: list[str]
    codes: NDArray[np.intp]
    near: NDArray[np.int64]
    has_near: NDArray[np.bool_]


def partitions(split: pd.DataFrame) -> list[Partition]:
    """The partitions a split makes: first the whole one, then one for each round.

    Args:
        split: A split table, rows as in the manifest.

    Returns:
        The whole split in its subsets, or in its folds where it is a cross-validation; then each round in its
        subsets.
    """
    subsets, found = split["subset"].to_numpy(), list(folds(split))
    if is_cross_validation(split):
        tested = [np.isin(np.arange(len(split)), fold.test) for fold in found]
        whole = _partition(-1, [f"fold {fold.number}" for fold in found], tested)
        parts = [
            _partition(fold.number, ["train", "test"], [~test, test])
            for fold, test in zip(found, tested, strict=True)
        ]
        return [whole, *parts]
    present = [subset for subset in SUBSETS if (subsets == subset).any()]
    return [_partition(number, present, [subsets == subset for subset in present]) for number in (-1, 0)]


def _partition(fold: int, parts: list[str], members: list[NDArray[np.bool_]]) -> Partition:
    codes = np.argmax(np.stack(members), axis=0)
    near = np.zeros((len(parts), len(parts)), dtype=np.int64)
    return Partition(fold, parts, codes, near, np.zeros((len(codes), len(parts)), dtype=bool))


def mark_near_duplicates(found: Iterable[Partition], vectors: NDArray[np.float32], *, cosine: float) -> None:
    """Fills `near` and `has_near` of all partitions in one pass over the pairs.

    Args:
        found: The partitions, of one split or of several.
        vectors: `(n, d)`, float32, unit vectors of the images.
        cosine: Pairs this alike are near-duplicates.
    """
    everything = list(found)
    for first, second in near_pairs(vectors, cosine=cosine):
        for one in everything:
            size = len(one.parts)
            a, b = one.codes[first], one.codes[second]
            one.near += np.bincount(a * size + b, minlength=size * size).reshape(size, size)
            one.has_near[first, b] = True
            one.has_near[second, a] = True


def count_table(rows: NDArray[np.intp], columns: NDArray[np.intp], n_columns: int) -> NDArray[np.int64]:
    """Counts how often each pair (row, column) occurs.

    Args:
        rows: `(n,)` integers; -1 is left out.
        columns: `(n,)` integers in [0, n_columns).
        n_columns: Number of columns.

    Returns:
        `(rows.max() + 1, n_columns)`, int64.
    """
    known = rows >= 0
    n_rows = int(rows.max(initial=-1)) + 1
    flat = np.bincount(rows[known] * n_columns + columns[known], minlength=n_rows * n_columns)
    return flat.reshape(n_rows, n_columns)


def redundant(table: NDArray[np.int64]) -> tuple[int, int]:
    """Redundant files within the columns and across them; the sum is every file beyond the first of its set.

    Args:
        table: `(sets of identical files, columns)`, counts.

    Returns:
        The numbers within and across.
    """
    within = int(np.maximum(table - 1, 0).sum())
    return within, int((table.sum(axis=1) - 1).sum()) - within


def split_record(found: list[Partition], images: Images, *, listed: int) -> Json:
    """Everything the audit says on a split, but the verdict (keys: see `lung_attention.audit`).

    Args:
        found: What `partitions` gave, with near-duplicates marked.
        images: The images.
        listed: How many names of each kind of leak are listed at most.

    Returns:
        A JSON object.
    """
    whole, *parts = found
    per_round = []
    totals: dict[str, int] = {}
    with_duplicate = np.zeros(len(images.names), dtype=bool)
    for one in parts:
        tested = _tested(one, images)
        counts = {name: int(mark.sum()) for name, mark in tested.items()}
        totals = {name: totals.get(name, 0) + count for name, count in counts.items()}
        with_duplicate |= tested["test_images_with_duplicate_in_training"]
        per_class = {
            part: class_counts(images.labels[one.codes == code]) for code, part in enumerate(one.parts)
        }
        per_round.append(
            {"fold": one.fold, "images_per_class": per_class, **_crossings(one, images), **counts}
        )
    return {
        **_crossings(whole, images),
        **totals,
        "rounds": per_round,
        "listed": {
            "identical_files": [
                images.names[images.files == code].tolist()
                for code in _on_several_sides(images.files, whole)[:listed]
            ],
            "groups": [images.group_names[code] for code in _on_several_sides(images.groups, whole)[:listed]],
            "test_images_with_duplicate_in_training": images.names[with_duplicate][:listed].tolist(),
        },
    }


def class_counts(labels: NDArray[Any]) -> dict[str, int]:
    """Images of each class, classes in order of appearance."""
    return {str(label): int(count) for label, count in pd.Series(labels).value_counts(sort=False).items()}


def _on_several_sides(members: NDArray[np.intp], one: Partition) -> NDArray[np.intp]:
    table = count_table(members, one.codes, len(one.parts))
    return np.flatnonzero((table > 0).sum(axis=1) > 1)


def _crossings(one: Partition, images: Images) -> Json:
    within, across = redundant(count_table(images.files, one.codes, len(one.parts)))
    near = one.near + one.near.T
    return {
        "redundant_files": {"within": within, "across": across},
        "near_duplicate_pairs": {
            "within": int(np.trace(one.near)),
            "across": int(one.near.sum() - np.trace(one.near)),
            "between": {
                f"{one.parts[a]}|{one.parts[b]}": int(near[a, b])
                for a, b in combinations(range(len(one.parts)), 2)
            },
        },
        "groups_on_two_sides": len(_on_several_sides(images.groups, one)),
    }


def _tested(one: Partition, images: Images) -> dict[str, NDArray[np.bool_]]:
    """Marks the test images, and those of them that training has seen in one way or another."""
    nothing = np.zeros(len(one.codes), dtype=bool)
    test = one.codes == one.parts.index("test") if "test" in one.parts else nothing
    identical = near = group = nothing
    if "train" in one.parts:
        train = one.parts.index("train")
        trained = one.codes == train
        identical = test & np.isin(images.files, images.files[trained])
        near = test & one.has_near[:, train]
        group = test & (images.groups >= 0) & np.isin(images.groups, images.groups[trained])
    return {
        "test_images": test,
        "test_images_with_identical_file_in_training": identical,
        "test_images_with_near_duplicate_in_training": near,
        "test_images_with_duplicate_in_training": identical | near,
        "test_images_with_group_in_training": group,
    }
