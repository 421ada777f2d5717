"""What single values of params.yaml may be."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lung_attention.data.catalog import DATASETS


def _known_dataset(name: str) -> str:
    if name not in DATASETS:
        raise ValueError(f"expected one of {list(DATASETS)}")
    return name


T = TypeVar("T", bound=Hashable)


def _all_different(values: list[T]) -> list[T]:
    if len(set(values)) < len(values):
        raise ValueError("expected no value twice")
    return values


# A design names each of its factors' values once; a seed given twice would count its images twice.
Unique = Annotated[list[T], AfterValidator(_all_different)]
Distinct = Annotated[list[T], Field(min_length=1), AfterValidator(_all_different)]

DatasetId = Annotated[str, AfterValidator(_known_dataset)]
Backbone = Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
Head = Literal["plain", "attention"]
Split = Literal["published", "grouped"]

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Pin = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Cosine = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class Section(BaseModel):
    """A section of params.yaml: frozen, with no key but those it names."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
