"""How published splits were drawn, as a dataset's file says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

REFIT = -1
"""The fold number of a model fitted on all images."""

# The seeds in datasets' files are facts of the publication: another value gives another split, not another
# run of this one.


@dataclass(frozen=True)
class FolderSplit:
    """A split that the archive's folders are.

    Attributes:
        method: The name of this way in a dataset's file.
        train: The folder of the training images, first in the paths of images.
        validation: That of the validation images; None where there is none.
        test: That of the test images.
    """

    method: Literal["folders"]
    train: str
    validation: str | None
    test: str


@dataclass(frozen=True)
class NotebookSplit:
    """A split drawn by scikit-learn's `train_test_split` over the rows in order, without strata.

    Attributes:
        method: The name of this way in a dataset's file.
        shuffle_seed: Of `sklearn.utils.shuffle` before; None for no shuffling.
        seed: Of `train_test_split`.
        held_out: Fraction of all images that is not trained on.
        validation: Fraction of these that is the second part of another `train_test_split`, the first being
            the test part; None where all of them are the test part, which was the validation part, too.
    """

    method: Literal["notebook"]
    shuffle_seed: Annotated[int, Field(ge=0)] | None
    seed: Annotated[int, Field(ge=0)]
    held_out: Annotated[float, Field(gt=0, lt=1)]
    validation: Annotated[float, Field(gt=0, lt=1)] | None


@dataclass(frozen=True)
class RandomSplit:
    """A split that was never published: by image, stratified by class, with the seed of params.yaml.

    Attributes:
        method: The name of this way in a dataset's file.
        test: Fraction of the test part.
        validation: Fraction of the rest that is the validation part.
    """

    method: Literal["random"]
    test: Annotated[float, Field(gt=0, lt=1)]
    validation: Annotated[float, Field(gt=0, lt=1)]


PublishedSplit = FolderSplit | NotebookSplit | RandomSplit
