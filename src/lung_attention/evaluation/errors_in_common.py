"""Errors of several classifiers on the same images: how many, how sure, and which all of them make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lung_attention.errors import UserError
from lung_attention.evaluation.predictions import Predictions

SURE = 0.9
"""A prediction is called sure where its probability is above this."""


@dataclass(frozen=True)
class CommonError:
    """An image that every classifier gets wrong.

    Attributes:
        image: Its name.
        group: Its group, empty where unknown.
        taken_for: The wrong class of the highest mean probability.
        probability: That mean, over classifiers.
    """

    image: str
    group: str
    taken_for: str
    probability: float


@dataclass(frozen=True)
class ClassErrors:
    """The errors on the images of one class; a classifier is one cell trained with one seed.

    Attributes:
        images: Images of the class.
        wrong: `(k,)` int, the errors of each classifier.
        sure_wrong: `(k,)` int, those of them whose wrong class has a probability above `SURE`.
        sure_right: `(k,)` int, right predictions with a probability above `SURE`.
        in_common: How many images all classifiers get wrong.
        surest: Of these the surest, at most one a group.
    """

    images: int
    wrong: NDArray[np.int64]
    sure_wrong: NDArray[np.int64]
    sure_right: NDArray[np.int64]
    in_common: int
    surest: list[CommonError]


def errors_in_common(cells: Sequence[Predictions], *, shown: int) -> dict[str, ClassErrors]:
    """Counts the errors of several cells on the same images, and finds those that all of them make.

    Args:
        cells: The predictions of at least one cell, all of the same images.
        shown: How many of the errors in common are named for each class at most.

    Returns:
        The errors on each class, in label order. Of equally sure errors the first image by name is named.

    Raises:
        UserError: The cells predict different images or label them differently.
    """
    first = cells[0]
    for other in cells[1:]:
        same = other.classes == first.classes and np.array_equal(other.images, first.images)
        if not (same and np.array_equal(other.labels, first.labels)):
            raise UserError(
                "the cells of one split predict different images, or label them differently",
                remedy="make the predictions anew with: dvc repro",
            )
    probabilities = np.concatenate([cell.probabilities for cell in cells])  # (k, n, c)
    right = np.concatenate([cell.right for cell in cells])
    sure = probabilities.max(axis=2) > SURE
    in_common: NDArray[np.bool_] = ~np.asarray(right.any(axis=0))
    mean = probabilities.mean(axis=0)
    # An error is an error for a wrong class, even if the true one has the highest mean.
    mean[np.arange(len(mean)), first.labels] = -np.inf
    order = np.argsort(-mean.max(axis=1), kind="stable")  # images are sorted by name
    found = {}
    for code, name in enumerate(first.classes):
        of_class = first.labels == code
        ranked = [row for row in order.tolist() if of_class[row] and in_common[row]]
        found[name] = ClassErrors(
            images=int(of_class.sum()),
            wrong=_counts(~right & of_class),
            sure_wrong=_counts(~right & sure & of_class),
            sure_right=_counts(right & sure & of_class),
            in_common=len(ranked),
            surest=[
                CommonError(
                    image=str(first.images[row]),
                    group=str(first.groups[row]),
                    taken_for=first.classes[int(mean[row].argmax())],
                    probability=float(mean[row].max()),
                )
                for row in _one_a_group(ranked, first)[:shown]
            ],
        )
    return found


def _counts(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.asarray(marks.sum(axis=1), dtype=np.int64)


def _one_a_group(rows: Sequence[int], cell: Predictions) -> list[int]:
    """The first row of each group; a row without group stands for itself."""
    clusters, _ = cell.clusters()
    first: dict[int, int] = {}
    for row in rows:
        first.setdefault(int(clusters[row]), row)
    return list(first.values())
