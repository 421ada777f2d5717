"""Predictions: the schema of their table, its one reader, and how a training's become it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lung_attention.errors import UserError
from lung_attention.evaluation.weighted import Floats, Integers

_SUM_TOLERANCE = 1e-3  # float32 softmax, written with nine digits
_TIE_TOLERANCE = 1e-6
_LARGEST = 2**53  # beyond, not every whole number is a float64
_REMEDY = "make the predictions anew with: dvc repro"


@dataclass(frozen=True)
class Predictions:
    """Predictions of one cell, validated and in a fixed order, whatever the order of the table's rows.

    Attributes:
        classes: Class names in label order, `c` of them.
        images: `(n,)` str, sorted.
        groups: `(n,)` str, empty where no group is known.
        labels: `(n,)` int.
        seeds: Training seeds, ascending, `s` of them.
        folds: `(s, n)` int, the fold whose model predicted.
        probabilities: `(s, n, c)` float64.
    """

    classes: tuple[str, ...]
    images: NDArray[np.object_]
    groups: NDArray[np.object_]
    labels: Integers
    seeds: tuple[int, ...]
    folds: Integers
    probabilities: Floats

    @property
    def predicted(self) -> Integers:
        """`(s, n)` int, the most probable class."""
        return np.asarray(self.probabilities.argmax(axis=2), dtype=np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """`(s, n)` bool, whether the most probable class is the true one."""
        return np.asarray(self.predicted == self.labels)

    @property
    def grouped(self) -> bool:
        """Whether the group of any image is known."""
        return bool((self.groups != "").any())

    def only(self, rows: NDArray[np.bool_]) -> Predictions:
        """The predictions of some images: `(n,)` bool."""
        return replace(
            self,
            images=self.images[rows],
            groups=self.groups[rows],
            labels=self.labels[rows],
            folds=self.folds[:, rows],
            probabilities=self.probabilities[:, rows],
        )

    def clusters(self) -> tuple[Integers, int]:
        """What a bootstrap resamples: the group of an image, or the image itself where none is known.

        Returns:
            `(n,)` int, the cluster of each image, and the number of clusters.
        """
        return cluster_codes(self.images, self.groups)


def cluster_codes(images: NDArray[np.object_], groups: NDArray[np.object_]) -> tuple[Integers, int]:
    """Numbers the clusters of `(n,)` images: their groups, or the images where the group is empty."""
    # The first letter keeps a group apart from an image of the same name.
    keys = [f"g{group}" if group else f"i{image}" for image, group in zip(images, groups, strict=True)]
    names, codes = np.unique(np.asarray(keys, dtype=object).astype(str), return_inverse=True)
    return codes.astype(np.int64), len(names)


def complete_predictions(raw: pd.DataFrame, groups: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Adds each image's group and predicted class.

    Groups are not known to the training: the published protocol ignores them, and the cluster of a bootstrap
    must not force a network to be trained again.

    Args:
        raw: image,label,fold,seed and probability_<class> for each class.
        groups: image,group; a row an image, all images of the dataset.
        classes: Class names in label order.

    Returns:
        image,label,group,fold,seed,prediction and probability_<class> for each class, rows as in `raw`.
        Of equal probabilities the first class in label order is predicted.

    Raises:
        UserError: A predicted image has no group entry.
    """
    columns = [f"probability_{name}" for name in classes]
    predicted = np.asarray(classes)[raw[columns].to_numpy().argmax(axis=1)]
    table = with_groups(raw, groups).assign(prediction=predicted)
    return table[["image", "label", "group", "fold", "seed", "prediction", *columns]]


def with_groups(table: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Predictions with the groups of a groups table.

    Args:
        table: Predictions.
        groups: Columns `image` and `group`, one row an image, all images of the dataset.

    Returns:
        A copy of `table` whose column `group` comes from `groups`.

    Raises:
        UserError: An image of the predictions is not in the groups table.
    """
    known = dict(zip(groups["image"], groups["group"], strict=True))
    missing = [image for image in table["image"] if image not in known]
    if missing:
        raise UserError(
            f"No group is recorded for {missing[0]!r} and {len(set(missing)) - 1} more images.",
            remedy="make the groups and the predictions from the same archive: dvc repro",
        )
    return table.assign(group=[known[image] for image in table["image"]])


def predictions_to_arrays(table: pd.DataFrame, classes: Sequence[str]) -> Predictions:
    """Validates a table in the predictions schema and brings it into a fixed order.

    Args:
        table: Columns `image,label,group,fold,seed,prediction` and `probability_<class>` for every class;
            one row an image and seed, every seed with the same images.
        classes: Class names in label order.

    Returns:
        The predictions as arrays.

    Raises:
        UserError: A column is missing, a seed, fold or probability is no number, a label or prediction is no
            class, probabilities are outside 0..1 or do not sum to 1 within 1e-3, the prediction is not the
            most probable class, an image has two rows for a seed, none for another, or two labels or groups.
    """
    columns = [f"probability_{name}" for name in classes]
    wanted = ["image", "label", "group", "fold", "seed", "prediction", *columns]
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        raise UserError(f"Predictions lack the columns {absent}.", remedy=_REMEDY)
    extra = [name for name in table.columns if name.startswith("probability_") and name not in columns]
    if extra:
        raise UserError(
            f"Predictions have columns of unknown classes: {extra}. Expected {columns}.", remedy=_REMEDY
        )
    if table.empty:
        raise UserError("Predictions hold no image.", remedy=_REMEDY)

    for column in ("seed", "fold"):
        table = table.assign(**{column: _whole_numbers(table, column)})
    table = table.sort_values(["seed", "image"], kind="stable")
    number = {name: k for k, name in enumerate(classes)}
    coded = {
        column: table[column].map(number).to_numpy(dtype=np.float64) for column in ("label", "prediction")
    }
    for column, codes in coded.items():
        _refuse(table, np.isnan(codes), f"a {column} that is none of the classes {list(classes)}")
    p = np.stack([_numbers(table, column) for column in columns], axis=1)
    inside = np.asarray(((p >= 0) & (p <= 1 + _SUM_TOLERANCE)).all(axis=1))
    _refuse(table, ~inside, "a probability outside 0..1")
    off = np.asarray(np.abs(p.sum(axis=1) - 1) > _SUM_TOLERANCE)
    _refuse(table, off, "probabilities that do not sum to 1")
    chosen = p[np.arange(len(p)), coded["prediction"].astype(np.int64)]
    _refuse(
        table, chosen < p.max(axis=1) - _TIE_TOLERANCE, "a prediction that is not the most probable class"
    )
    _refuse(table, np.asarray(table.duplicated(["seed", "image"])), "two rows for one seed")

    seeds = sorted(set(table["seed"].tolist()))
    images = table["image"].to_numpy(dtype=object)[: len(table) // len(seeds)]
    shape = (len(seeds), len(images))
    if len(table) != shape[0] * shape[1] or (_reshaped(table, "image", shape) != images).any():
        raise UserError(f"The seeds {seeds} do not predict the same images.", remedy=_REMEDY)
    labels = coded["label"].astype(np.int64).reshape(shape)
    groups = _reshaped(table.assign(group=table["group"].fillna("").astype(str)), "group", shape)
    for what, values in (("labels", labels), ("groups", groups)):
        differing = (values != values[0]).any(axis=0)
        if differing.any():
            raise UserError(
                f"Image {images[differing][0]!r} has different {what} under different seeds.", remedy=_REMEDY
            )
    return Predictions(
        classes=tuple(classes),
        images=images,
        groups=groups[0],
        labels=labels[0],
        seeds=tuple(seeds),
        folds=table["fold"].to_numpy(dtype=np.int64).reshape(shape),
        probabilities=p.reshape(*shape, len(classes)),
    )


def _reshaped(table: pd.DataFrame, column: str, shape: tuple[int, int]) -> NDArray[np.object_]:
    return table[column].to_numpy(dtype=object).reshape(shape)


def _numbers(table: pd.DataFrame, column: str) -> Floats:
    values = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    _refuse(table, np.isnan(values), f"a {column} that is no number")
    return values


def _whole_numbers(table: pd.DataFrame, column: str) -> Integers:
    values = _numbers(table, column)
    _refuse(
        table,
        ~(np.isfinite(values) & (values == np.round(values)) & (np.abs(values) <= _LARGEST)),
        f"a {column} that is no whole number up to {_LARGEST:,}",
    )
    return values.astype(np.int64)


def _refuse(table: pd.DataFrame, bad: NDArray[np.bool_], what: str) -> None:
    """Raises a UserError that names the first bad row."""
    if bad.any():
        row = table.iloc[int(np.flatnonzero(bad)[0])]
        raise UserError(
            f"Predictions of image {row['image']!r}, seed {row['seed']}, hold {what} ({bad.sum()} rows).",
            remedy=_REMEDY,
        )
