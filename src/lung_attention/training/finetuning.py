"""The settings of a fit of the backbone's last layers. Nothing here needs TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

Turns = Literal[1, 4, 8]
"""How many symmetries of the square: none, quarter turns, or quarter turns and their mirror images."""

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True)
class Augmentation:
    """How far images are changed at random, each anew in each epoch.

    Attributes:
        shift: By how much at most they are shifted along both axes, as a fraction of the side that is shown.
        turns: Among how many symmetries of the square one is drawn.
        brightness: What is added at most to pixels or taken from them, as a fraction of 0..255.
        contrast: By which fraction differences to the image's mean grow or shrink at most.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    shift: Annotated[float, Field(ge=0, lt=0.5)]
    turns: Turns
    brightness: Annotated[float, Field(ge=0, lt=1)]
    contrast: Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class Finetuning:
    """How the last layers of a backbone are fitted, together with the recommended head.

    The optimizer is AdamW (Loshchilov and Hutter, ICLR 2019), whose rate falls to 0 along half a cosine.

    Attributes:
        trainable: The share of the backbone's convolution layers that is fitted, counted from its end; its
            batch normalisations stay as they are.
        epochs: Passes over the training images.
        batch_size: Images of one step, on all devices together.
        learning_rate: Of the first step.
        weight_decay: Of kernels.
        dropout: Fraction of the pooled columns that is dropped before the linear layer.
        averaged_epochs: The weights that are kept are the average of those after the last epochs; 1 keeps the
            last.
        images_per_epoch: Images seen in an epoch, drawn anew for each; null for all.
        augmentation: How far images are changed at random.
        turns: Over how many symmetries of the square probabilities are averaged at prediction.
        calibration_folds: The training groups of a fit are parted in so many; the first part is not fitted
            on, and finds the temperature.
        mixed_precision: `auto`: half precision where there is a GPU; `never`.
        jit_compile: Whether XLA compiles the step.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    trainable: Annotated[float, Field(gt=0, le=1)]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch_size: Annotated[int, Field(ge=1, le=4096)]
    learning_rate: Annotated[float, Field(ge=1e-9, le=10)]
    weight_decay: Annotated[float, Field(ge=0, le=10)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    averaged_epochs: Annotated[int, Field(ge=1)]
    images_per_epoch: Annotated[int, Field(ge=1)] | None
    augmentation: Augmentation
    turns: Turns
    calibration_folds: Annotated[int, Field(ge=2, le=100)]
    mixed_precision: Literal["auto", "never"]
    jit_compile: bool

    def __post_init__(self) -> None:
        """Refuses what cannot be.

        Raises:
            ValueError: More epochs are averaged than there are.
        """
        if self.averaged_epochs > self.epochs:
            raise ValueError(f"averaged_epochs: expected at most {self.epochs}, the epochs there are")

    def params(self) -> dict[str, Any]:
        """The settings as flat plain values."""
        values = asdict(self)
        nested = values.pop("augmentation")
        return values | {f"augmentation.{name}": value for name, value in nested.items()}


def finetuning_from_json(values: Mapping[str, Any]) -> Finetuning:
    """Reads what `dataclasses.asdict` made of settings that were validated before."""
    return Finetuning(**{**values, "augmentation": Augmentation(**values["augmentation"])})
