"""What single values of params.yaml and of a dataset's file may be."""

from __future__ import annotations

import re
from collections.abc import Hashable
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lung_attention.models.backbone_table import BACKBONES
from lung_attention.models.heads import HEADS
from lung_attention.training.recipes import RECIPES

T = TypeVar("T", bound=Hashable)


def _all_different(values: list[T]) -> list[T]:
    if len(set(values)) < len(values):
        raise ValueError("expected no value twice")
    return values


def _one_of(known: dict[str, object]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"expected one of {', '.join(known)}")
        return name

    return AfterValidator(check)


def _is_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"no regular expression ({error})") from error
    return text


# A design names each of its factors' values once; a seed given twice would count its images twice.
Unique = Annotated[list[T], AfterValidator(_all_different)]
Distinct = Annotated[list[T], Field(min_length=1), AfterValidator(_all_different)]

Backbone = Annotated[str, _one_of(dict(BACKBONES))]
Head = Annotated[str, _one_of(dict(HEADS))]
RecipeName = Annotated[str, _one_of(dict(RECIPES))]
Split = Literal["published", "grouped"]

Pattern = Annotated[str, AfterValidator(_is_pattern)]
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
SizePx = Annotated[int, Field(ge=32, le=2048)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Checksum = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Cosine = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Folds = Annotated[int, Field(ge=2, le=100)]
Confidence = Annotated[float, Field(ge=0.5, le=0.9999)]
"""Of intervals; a bootstrap says nothing of rarer events than its resamples are many."""
Resamples = Annotated[int, Field(ge=100, le=1_000_000)]
"""Of a bootstrap; fewer give no interval."""


class Section(BaseModel):
    """A section of a configuration file: frozen, with no key but those it names."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Window(Section):
    """The grey window by which images are made of Hounsfield units.

    Attributes:
        level_hu: Its centre.
        width_hu: Its width.
    """

    level_hu: Annotated[float, Field(ge=-2000, le=5000)]
    width_hu: Annotated[float, Field(gt=1, le=10000)]
