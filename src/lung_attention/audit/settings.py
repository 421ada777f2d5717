"""Settings of the audit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class ShortcutTest:
    """How shortcuts are told from chance.

    Attributes:
        folds: Of the cross-validation over groups; fewer where a fold would have fewer than two groups.
        permutations: Of the labels; the smallest p is 1 / (1 + permutations).
        alpha: Chance of a false alarm, of all probes together.
        seed: Of folds and permutations.
    """

    folds: Annotated[int, Field(ge=2, le=100)]
    permutations: Annotated[int, Field(ge=19, le=1_000_000)]  # 19: p can reach 0.05
    alpha: Annotated[float, Field(ge=1e-6, le=0.5)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]
