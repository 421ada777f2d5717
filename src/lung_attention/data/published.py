"""The published results: facts of the paper and of the repository that came with it, not parameters."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

_COUNT_TOLERANCE = 1e-3  # accuracies were printed from float32


@dataclass(frozen=True)
class Paper:
    """Where the results were published, and on what they were computed."""

    title: str
    authors: str
    venue: str
    doi: str
    hardware: str


@dataclass(frozen=True)
class AbstractClaim:
    """An accuracy the abstract states; the repository prints other ones."""

    dataset: str
    accuracy: float


@dataclass(frozen=True)
class Recipe:
    """What the six trainings have in common, in words as far as it is no number."""

    backbone_weights: str
    preprocessing: str
    head: str
    optimizer: str
    loss: str
    batch_size: int
    epochs: int
    model_selection: str
    training_seed: str


@dataclass(frozen=True)
class PublishedResult:
    """One of the six results, as the published repository prints it.

    Attributes:
        dataset: Dataset id.
        backbone: Backbone id.
        backbone_title: The backbone's name for people.
        image_size_px: Side of the square input.
        split_sizes: Images under `train`, `validation` and `test`.
        learning_rate: Of Adam.
        test_loss: Mean cross-entropy, natural logarithm.
        test_accuracy: 0..1.
        classes: Right names of the rows of `confusion_matrix`, in label order.
        confusion_matrix: `(c, c)` counts, rows are true classes.
        auroc_ovo: Macro AUROC one against one, None where not printed.
        auroc_ovr: Macro AUROC one against rest, None where not printed.
        trainable_parameters: As printed, None where not printed.
        note: What a reader has to know about the result; may be empty.
    """

    dataset: str
    backbone: str
    backbone_title: str
    image_size_px: int
    split_sizes: dict[str, int]
    learning_rate: float
    test_loss: float
    test_accuracy: float
    classes: tuple[str, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]
    auroc_ovo: float | None
    auroc_ovr: float | None
    trainable_parameters: int | None
    note: str

    def __post_init__(self) -> None:
        count = self.test_accuracy * self.n_test
        if abs(count - round(count)) > _COUNT_TOLERANCE:
            raise ValueError(f"{self.dataset}-{self.backbone}: {count} right of {self.n_test} is no count")

    @property
    def n_test(self) -> int:
        """Test images."""
        return self.split_sizes["test"]

    @property
    def n_right(self) -> int:
        """Test images that were classified rightly."""
        return round(self.test_accuracy * self.n_test)


@dataclass(frozen=True)
class Published:
    """Everything that is compared with, or quoted beside, our results."""

    paper: Paper
    abstract_claims: tuple[AbstractClaim, ...]
    common: Recipe
    results: tuple[PublishedResult, ...]

    def on(self, datasets: Collection[str]) -> Published:
        """The same where the paper is about any of these datasets, else without any result or claim."""
        if any(result.dataset in datasets for result in self.results):
            return self
        return replace(self, results=(), abstract_claims=())


def load_published() -> Published:
    """Reads the facts that ship with the package."""
    facts = json.loads(files("lung_attention.data").joinpath("published.json").read_text(encoding="utf-8"))
    return Published(
        paper=Paper(**facts["paper"]),
        abstract_claims=tuple(AbstractClaim(**claim) for claim in facts["abstract_claims"]),
        common=Recipe(**facts["common"]),
        results=tuple(_result(values) for values in facts["results"]),
    )


def _result(values: dict[str, Any]) -> PublishedResult:
    frozen = {
        "classes": tuple(values["classes"]),
        "confusion_matrix": tuple(tuple(row) for row in values["confusion_matrix"]),
    }
    return PublishedResult(**values | frozen)
