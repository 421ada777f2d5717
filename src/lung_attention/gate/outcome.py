"""What the gate found, and that as JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lung_attention.errors import UserError
from lung_attention.gate.changes import Changes
from lung_attention.gate.declared import Declared
from lung_attention.gate.rules import CellResult, Pooled, Rule, Verdict, exit_code, overall
from lung_attention.gate.scores import DECIDING

if TYPE_CHECKING:
    from lung_attention.workflow.stale import Staleness


@dataclass(frozen=True)
class Outcome:
    """Everything the gate says.

    Attributes:
        subject: Whose results: a profile, or a file.
        reference: With what they were compared, as the user named it.
        commit: The 40 hexadecimal digits of the reference's revision; None where it is none.
        rule: Margins and chance.
        results: A result a cell.
        pooled: On all changed cells together; None where fewer than two changed.
        spent: Declarations that the reference holds already.
        changes: What else differs between the two sides.
        strict: Whether what is inconclusive, or stale, fails.
        stale: Which stages of the candidate's results are stale; None where that was not asked.
        not_asked: Why it was not, of a profile's results.
    """

    subject: str
    reference: str
    commit: str | None
    rule: Rule
    results: Sequence[CellResult]
    pooled: Pooled | None
    spent: Sequence[Declared]
    changes: Changes = field(default_factory=Changes)
    strict: bool = False
    stale: Staleness | None = None
    not_asked: str = ""

    @property
    def is_stale(self) -> bool:
        """Whether the candidate's results are not of its code and parameters."""
        return self.stale is not None and bool(self.stale.stages)

    @property
    def verdict(self) -> str:
        """In words. Stale results do not pass; a loss in them is one nevertheless."""
        found = overall(self.results, self.pooled)
        return "stale" if self.is_stale and found.startswith("pass") else found

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return 1 if self.fails_by_strictness else self._code

    @property
    def _code(self) -> int:
        return exit_code([result.verdict for result in self.results], self.pooled)

    @property
    def fails_by_strictness(self) -> bool:
        """Whether nothing but `strict` makes it fail."""
        doubtful = self.is_stale or any(one.verdict is Verdict.INCONCLUSIVE for one in self.results)
        return self.strict and doubtful and self._code == 0


def to_json(outcome: Outcome) -> dict[str, Any]:
    """For machines.

    Returns:
        `subject` (a profile or file), `reference`, `commit` (null for a folder or file), `verdict` in words,
        `exit_code`, `strict`, `stale` (stages by why, empty where none is; null where it was not asked),
        `changed_params` (by key `{reference, candidate}`, null for one that is not
        there), `changed_files` (of code and datasets), `margins`, `confidence`, `pooled_error`, `power`,
        `resamples`, `seed`, `spent_declarations`; `pooled` (null where fewer than two cells changed) with
        `cells` (their number), `differences`, `p_value` and `regression`; and `cells`, each with `cell`,
        `verdict`, `notes` and, where it was compared, for each score `{reference, candidate, difference,
        bound}` (the bound null where nothing fell by more than its margin), `training_sd` by score,
        `p_value`, `p_holm`, `detectable_loss` (null where nothing differs). Log loss is in nats, all other
        metrics are fractions of 1.
    """
    chance, pooled = outcome.rule.chance, outcome.pooled
    return {
        "subject": outcome.subject,
        "reference": outcome.reference,
        "commit": outcome.commit,
        "verdict": outcome.verdict,
        "exit_code": outcome.exit_code,
        "strict": outcome.strict,
        "stale": outcome.stale and outcome.stale.by_reason,
        "changed_params": {
            key: {"reference": before, "candidate": after}
            for key, (before, after) in outcome.changes.params.items()
        },
        "changed_files": list(outcome.changes.files),
        "margins": dict(outcome.rule.margins),
        "confidence": chance.confidence,
        "pooled_error": outcome.rule.pooled_error,
        "power": chance.power,
        "resamples": chance.resamples,
        "seed": chance.seed,
        "spent_declarations": [_plain(entry) for entry in outcome.spent],
        "pooled": None if pooled is None else asdict(pooled),
        "cells": [_cell_json(result) for result in outcome.results],
    }


def refused_json(error: UserError) -> dict[str, Any]:
    """For machines, without a comparison: `verdict`, `exit_code`, `problem`, `remedy`, no `cells`."""
    return {
        "verdict": "not comparable",
        "exit_code": 2,
        "problem": error.problem,
        "remedy": error.remedy,
        "cells": [],
    }


def _cell_json(result: CellResult) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "cell": result.cell,
        "verdict": str(result.verdict),
        "notes": list(result.notes),
    }
    comparison = result.comparison
    if comparison is None:
        return entry
    for name in DECIDING:
        entry[name] = {
            "reference": _number(comparison.reference[name]),
            "candidate": _number(comparison.candidate[name]),
            "difference": _number(comparison.differences[name]),
            "bound": comparison.bounds.get(name),
        }
    return entry | {
        "training_sd": asdict(comparison.luck),
        "p_value": comparison.p_value,
        "p_holm": comparison.p_holm,
        "detectable_loss": comparison.detectable,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _plain(entry: Declared) -> dict[str, Any]:
    return {"cells": list(entry.cells), "change": entry.change, "reason": entry.reason}
