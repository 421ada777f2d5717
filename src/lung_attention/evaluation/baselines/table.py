"""The table of the baselines: what each is called, whether it is blind, what it sees and how it predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lung_attention.errors import UserError
from lung_attention.evaluation.baselines.forest import histogram_forest
from lung_attention.evaluation.baselines.linear import logistic, stacked
from lung_attention.evaluation.baselines.lookup import majority, nearest_neighbour, same_size
from lung_attention.evaluation.baselines.training_part import Predicted, Training
from lung_attention.images.regions import backgrounds, frame, value_counts
from lung_attention.images.similarity import unit_vectors
from lung_attention.models.backbone_table import title
from lung_attention.models.logistic import pooled


@dataclass(frozen=True)
class Images:
    """All that baselines may look at of the images of a dataset, rows as in the manifest.

    Attributes:
        manifest: A row an image; width, height and the covariates are used.
        thumbnails: `(n, 64, 64, 3)`, uint8, RGB.
        features: By backbone `(n, rows, cols, channels)`, float16, may be memory-mapped.
    """

    manifest: pd.DataFrame
    thumbnails: NDArray[np.uint8]
    features: Mapping[str, NDArray[np.float16]]


@dataclass(frozen=True)
class Baseline:
    """One baseline.

    Attributes:
        title: The name for people.
        blind: Whether it sees nothing of the disease, so that what it reaches is no medical knowledge.
        see: What it sees of each image, `(n, …)`; it knows no labels and learns nothing, so it may look at
            all images at once.
        predict: From what is seen of the training images, the same of the test images, and the training part,
            to the probabilities of the test images.
    """

    title: str
    blind: bool
    see: Callable[[Images], NDArray[Any]]
    predict: Callable[[NDArray[Any], NDArray[Any], Training], Predicted]


def _sizes(images: Images) -> NDArray[np.int64]:
    return images.manifest[["width", "height"]].to_numpy(np.int64)


def _likeness(images: Images) -> NDArray[np.float32]:
    return unit_vectors(images.thumbnails)


def _all_values(images: Images) -> NDArray[np.uint16]:
    return value_counts(images.thumbnails)


def _frame_values(images: Images) -> NDArray[np.uint16]:
    return value_counts(images.thumbnails, frame(images.thumbnails.shape[1:3]))


def _background_values(images: Images) -> NDArray[np.uint16]:
    return value_counts(images.thumbnails, backgrounds(images.thumbnails))


BASELINES: dict[str, Baseline] = {
    "majority": Baseline("most frequent class", True, _sizes, majority),
    "image_size": Baseline("width and height", True, _sizes, same_size),
    "border": Baseline("outermost pixels", True, _frame_values, histogram_forest),
    "background": Baseline("background", True, _background_values, histogram_forest),
    "nearest_neighbour": Baseline("most alike thumbnail", False, _likeness, nearest_neighbour),
    "histogram_forest": Baseline("histogram of all values", False, _all_values, histogram_forest),
}


def linear_probe(backbone: str) -> Baseline:
    """A logistic regression on what a frozen backbone sees."""

    def see(images: Images) -> NDArray[np.float32]:
        return pooled(images.features[backbone])

    return Baseline(f"linear probe of {title(backbone)}", False, see, logistic)


def covariate(column: str) -> Baseline:
    """A logistic regression on a number that the dataset's table gives for each image."""

    def see(images: Images) -> NDArray[np.float64]:
        return _numbers(images.manifest, column)[:, None]

    return Baseline(f"{column.replace('_', ' ')} alone", False, see, logistic)


def probe_and_covariates(backbone: str, columns: Sequence[str]) -> Baseline:
    """What a frozen backbone sees together with the numbers that the dataset's table gives."""

    def see(images: Images) -> NDArray[np.float64]:
        numbers = [_numbers(images.manifest, column)[:, None] for column in columns]
        return np.hstack([pooled(images.features[backbone]), *numbers])

    named = ", ".join(column.replace("_", " ") for column in columns)
    return Baseline(
        f"linear probe of {title(backbone)} together with {named}", False, see, stacked(len(columns))
    )


def baselines_of(
    backbones: Sequence[str], covariates: Sequence[str], *, frame_is_empty: bool
) -> dict[str, Baseline]:
    """All baselines of a dataset, by name.

    Args:
        backbones: Those whose features there are.
        covariates: Numeric columns of the dataset's table.
        frame_is_empty: Whether the outermost pixels lie outside the body or tissue; else `border` sees it,
            and so does `background`, which begins there.

    Returns:
        `BASELINES`, then `linear_probe_<backbone>` for each backbone, `covariate_<column>` for each column,
        and `together_<backbone>`, of both, where there are columns.
    """
    edge = {name: replace(BASELINES[name], blind=frame_is_empty) for name in ("border", "background")}
    return (
        BASELINES
        | edge
        | {f"linear_probe_{name}": linear_probe(name) for name in backbones}
        | {f"covariate_{name}": covariate(name) for name in covariates}
        | {f"together_{name}": probe_and_covariates(name, covariates) for name in backbones if covariates}
    )


def _numbers(manifest: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A column of the manifest as numbers.

    Raises:
        UserError: It is missing, or holds what is no number.
    """
    remedy = "correct table.covariates in the dataset's file, or the table"
    if column not in manifest.columns:
        raise UserError(f"table.covariates: the manifest has no column {column!r}", remedy=remedy)
    numbers = pd.to_numeric(manifest[column], errors="coerce").to_numpy(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise UserError(
            f"table.covariates: {column!r} of image {manifest['image'].iloc[row]!r} is no number "
            f"({manifest[column].iloc[row]!r})",
            remedy=remedy,
        )
    return numbers
