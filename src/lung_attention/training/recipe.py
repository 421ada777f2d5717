"""The settings of a classifier, from pixels to weights. Nothing here needs TensorFlow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from lung_attention.errors import UserError
from lung_attention.files import sha256
from lung_attention.splits.settings import REFIT
from lung_attention.training.finetuning import Finetuning, finetuning_from_json

Penalty = Annotated[float, Field(ge=0, le=1e6)]
"""Of squared weights; beyond these values of any use, nothing is left of a weight."""

EVERY = "every"
"""The name under which a recipe's settings of all fits stand, where they are the same."""


@dataclass(frozen=True)
class Recipe:
    """The settings of one fit, and of what it is fitted on.

    Attributes:
        view: What the network is shown of an image, a name of `preprocess.views`.
        epochs: Passes over the training images; the weights of the last one are kept. None leaves the start.
        batch_size: Images of one step.
        optimizer: A name of `keras.optimizers`.
        learning_rate: Of the optimizer.
        class_weights: `none`, or `balanced`: each class weighs as much as any other in the loss.
        jit_compile: Whether XLA compiles the step, which halves the time of a large one on a CPU.
        pooling: `flatten`, as published, `average` over the positions, or `average_max`: averages and maxima.
        hidden_units: Widths of the relu layers; none for a linear head.
        dropout: Fraction dropped after each relu layer; of a linear head, before it.
        l2: Factor of the squared dense kernels in the loss; of all of them where the head is linear.
        start: `random` weights or, of a linear head on averages and maxima, those of a `logistic` regression
            on the standardised columns, with the penalty `l2`.
        attention_maps: Number of maps of the soft attention.
        attention_gamma: Start value of its factor.
        attention_activation: Activation of its maps.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    view: str
    epochs: Annotated[int, Field(ge=0, le=10_000)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    optimizer: Literal["adam", "adamw", "sgd"]
    learning_rate: Annotated[float, Field(ge=1e-9, le=10)]
    class_weights: Literal["none", "balanced"]
    jit_compile: bool
    pooling: Literal["flatten", "average", "average_max"]
    hidden_units: Annotated[tuple[Annotated[int, Field(ge=1, le=16_384)], ...], Field(max_length=8)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    l2: Penalty
    start: Literal["random", "logistic"]
    attention_maps: Annotated[int, Field(ge=1, le=1024)]
    attention_gamma: Annotated[float, Field(ge=-100, le=100)]
    attention_activation: Literal["relu", "linear"]

    def __post_init__(self) -> None:
        """Refuses what no head can be built by.

        Raises:
            ValueError: Settings contradict each other.
        """
        if self.start == "logistic" and (self.hidden_units or self.pooling != "average_max"):
            raise ValueError(
                "start: a logistic regression is the start of a linear head on average_max alone"
            )
        if self.start == "random" and not self.epochs:
            raise ValueError("epochs: random weights that are never fitted predict nothing")

    def with_learning_rate(self, rate: float) -> Recipe:
        """The same with another learning rate."""
        return replace(self, learning_rate=rate)

    def as_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        return {**asdict(self), "hidden_units": list(self.hidden_units)}


_ADAPTER = TypeAdapter(Recipe)


def recipe_from_json(values: Mapping[str, Any]) -> Recipe:
    """Reads what `Recipe.as_json` wrote.

    Raises:
        pydantic.ValidationError: A key is missing or unknown, or a value is bad.
    """
    # As JSON, a list may stand for a tuple however strict the rest is.
    return _ADAPTER.validate_json(json.dumps(dict(values)))


def settings_from_json(values: Mapping[str, Any]) -> Settings:
    """Reads what `Settings.as_json` wrote; other keys are left alone."""
    fits = {name: recipe_from_json(recipe) for name, recipe in values["settings"].items()}
    choices, tuning = values["choices"], values.get("finetuning")
    return Settings(
        fits,
        values["split"],
        None if choices is None else Choices(**choices),
        None if tuning is None else finetuning_from_json(tuning),
    )


def settings_params(settings: Settings) -> dict[str, Any]:
    """The settings as flat plain values, those of single fits under `<fit>.<name>`, lists to choose from."""
    params = {
        name if fit == EVERY else f"{fit}.{name}": value
        for fit, recipe in settings.by_fit.items()
        for name, value in recipe.as_json().items()
    }
    params |= {} if settings.choices is None else asdict(settings.choices)
    return params | ({} if settings.finetuning is None else settings.finetuning.params())


def require_split(settings: Settings, split: Path) -> None:
    """Refuses settings that were chosen on another split.

    Raises:
        UserError: The settings of a fold may have been chosen by its test images.
    """
    if settings.split is not None and settings.split != (ours := sha256(split)):
        raise UserError(
            f"the settings were searched on another split (expected {split} with SHA-256 {ours}, received "
            f"{settings.split}), so they may have seen test images of this one",
            remedy="search again with this split: make search DATASET=… BACKBONE=… HEAD=…",
        )


def fold_name(fold: int) -> str:
    """The name of a fit among those of a cell: `fold-0` and so on, or `all` for the refit on all images."""
    return "all" if fold == REFIT else f"fold-{fold}"


@dataclass(frozen=True)
class Choices:
    """Among what each fit chooses, by inner folds of its training groups.

    Attributes:
        inner_folds: How many.
        l2: Penalties.
        epochs: Of a head that is fitted beyond its start.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    inner_folds: Annotated[int, Field(ge=2, le=100)]
    l2: Annotated[list[Annotated[Penalty, Field(gt=0)]], Field(min_length=1)]
    epochs: Annotated[list[Annotated[int, Field(ge=1, le=10_000)]], Field(min_length=1)]


@dataclass(frozen=True)
class Settings:
    """What a recipe chose for a cell.

    Attributes:
        by_fit: The settings of each fit by `fold_name`, or those of `EVERY` one.
        split: SHA-256 of the split table for which they were chosen; None where no image was looked at.
        choices: What each fit chooses beyond them; None for nothing.
        finetuning: How the backbone's last layers are fitted; None where it is frozen.
    """

    by_fit: Mapping[str, Recipe]
    split: str | None
    choices: Choices | None = None
    finetuning: Finetuning | None = None

    def as_json(self) -> dict[str, Any]:
        """The settings as plain values."""
        fits = {name: recipe.as_json() for name, recipe in self.by_fit.items()}
        choices = None if self.choices is None else asdict(self.choices)
        # Said of such cells alone, so that those of other recipes stay as they are.
        tuning = {} if self.finetuning is None else {"finetuning": asdict(self.finetuning)}
        return {"settings": fits, "split": self.split, "choices": choices, **tuning}

    def of(self, fold: int) -> Recipe:
        """The settings of one fit."""
        return self.by_fit.get(fold_name(fold)) or self.by_fit[EVERY]
