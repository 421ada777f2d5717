"""Settings of the baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class BaselineSettings:
    """What the baselines share; of candidates the inner folds of each training part choose one.

    Attributes:
        seed: Of forests and inner folds.
        inner_folds: Of a training part; fewer where a class has fewer groups there.
        trees: Of a forest.
        histogram_bins: Candidates for the bins of a channel's histogram, coarsest first.
        C: Candidates for the inverse strength of a logistic regression's L2 penalty, strongest penalty first.
    """

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    inner_folds: Annotated[int, Field(ge=2, le=100)]
    trees: Annotated[int, Field(ge=1, le=10_000)]
    histogram_bins: Annotated[list[Annotated[int, Field(ge=2, le=256)]], Field(min_length=1)]
    C: Annotated[list[Annotated[float, Field(ge=1e-9, le=1e9)]], Field(min_length=1)]
