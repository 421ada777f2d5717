"""Changes that a maintainer wanted and gave a reason for, in params.yaml beside the change itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lung_attention.config import read_values
from lung_attention.errors import UserError

WORSE, BELOW_PUBLISHED, MISSING = "worse", "below_published", "missing"


@dataclass(frozen=True)
class Declared:
    """One wanted change.

    Attributes:
        cells: Names of cells, or patterns such as `iqoth-*`.
        change: `missing`, `images`, `labels`, `folds`, `worse` or `below_published`.
        reason: Why it is wanted.
    """

    cells: tuple[str, ...]
    change: str
    reason: str

    def covers(self, cell: str, change: str) -> bool:
        """Whether it declares this change of this cell."""
        return change == self.change and any(fnmatchcase(cell, pattern) for pattern in self.cells)


def reason_for(cell: str, change: str, declared: Iterable[Declared]) -> str | None:
    """The reason given for a change of a cell, None where it is not declared."""
    return next((entry.reason for entry in declared if entry.covers(cell, change)), None)


def split_spent(
    declared: Sequence[Declared], reference_params: Path, profile: str
) -> tuple[list[Declared], list[Declared]]:
    """Separates what is declared with this change from what an earlier one declared.

    A declaration excuses the one change it came with. Left in params.yaml it would excuse every later loss of
    the same cells, so one that the reference's parameters hold already counts no more.

    Args:
        declared: Of the candidate's parameters.
        reference_params: The reference's params.yaml; may be missing.
        profile: Whose declarations to look at.

    Returns:
        Those that count, and those that are spent.
    """
    before = _declared_in(reference_params, profile)
    fresh = [entry for entry in declared if entry not in before]
    return fresh, [entry for entry in declared if entry in before]


def _declared_in(params: Path, profile: str) -> list[Declared]:
    """The declarations of a params.yaml of any age: one that is not understood has none."""
    try:
        values: Any = read_values(params)
        own, shared = values["profiles"][profile].get("gate", {}), values.get("gate", {})
        entries = own["declared"] if "declared" in own else shared["declared"]
        return [Declared(tuple(entry["cells"]), entry["change"], entry["reason"]) for entry in entries]
    except (UserError, KeyError, TypeError, AttributeError):
        return []
