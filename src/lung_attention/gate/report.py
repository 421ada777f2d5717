"""What the gate found, as a Markdown table for people and as JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lung_attention.errors import UserError
from lung_attention.gate.compare import DECIDING, SHOWN
from lung_attention.gate.declared import Declared
from lung_attention.gate.reference import Reference
from lung_attention.gate.rules import CellResult, Comparison, Rule, Verdict, exit_code, overall
from lung_attention.report.numbers import DASH, count, p_value, signed

_ORDER = (
    Verdict.REGRESSION, Verdict.BELOW_FLOOR, Verdict.NOT_COMPARABLE, Verdict.INCONCLUSIVE, Verdict.DECLARED,
    Verdict.NEW, Verdict.PASS, Verdict.IDENTICAL,
)  # fmt: skip
_MARKS = {
    Verdict.REGRESSION: "❌",
    Verdict.BELOW_FLOOR: "❌",
    Verdict.NOT_COMPARABLE: "❌",
    Verdict.INCONCLUSIVE: "⚠️",
}
_TITLES = {"balanced_accuracy": "balanced accuracy", "mcc": "MCC", "log_loss": "log loss"}
_NEXT = {
    Verdict.REGRESSION: "a loss that neither other test images nor another training explains: find its cause",
    Verdict.BELOW_FLOOR: "too low whatever the reference says",
    Verdict.NOT_COMPARABLE: "declare the change with its reason in params.yaml, if it is wanted",
    Verdict.INCONCLUSIVE: "worse by more than the margin, but not more than chance allows; "
    "losses smaller than the one in the last column are easily missed",
}


@dataclass(frozen=True)
class Outcome:
    """Everything a report says.

    Attributes:
        profile: Whose results.
        reference: With what they were compared.
        rule: Margin and chance.
        results: A result a cell.
        spent: Declarations that the reference holds already.
    """

    profile: str
    reference: Reference
    rule: Rule
    results: Sequence[CellResult]
    spent: Sequence[Declared]

    @property
    def exit_code(self) -> int:
        """Of the command."""
        return exit_code(result.verdict for result in self.results)


def to_json(outcome: Outcome) -> dict[str, Any]:
    """For machines.

    Returns:
        `profile`, `reference`, `commit` (null for a folder), `verdict` in words, `exit_code`, `margin`,
        `confidence`, `power`, `resamples`, `seed`, `spent_declarations`, and `cells`, each with `cell`,
        `verdict`, `notes` and, where it was compared, for each score `{reference, candidate, difference}`
        with `upper` for those that decide, `training_sd`, `p_value`, `p_holm`, `detectable_loss` (null where
        nothing differs). All figures are fractions of 1.
    """
    chance = outcome.rule.chance
    return {
        "profile": outcome.profile,
        "reference": outcome.reference.name,
        "commit": outcome.reference.commit,
        "verdict": overall(outcome.results),
        "exit_code": outcome.exit_code,
        "margin": outcome.rule.margin,
        "confidence": chance.confidence,
        "power": chance.power,
        "resamples": chance.resamples,
        "seed": chance.seed,
        "spent_declarations": [_plain(entry) for entry in outcome.spent],
        "cells": [_cell_json(result) for result in outcome.results],
    }


def to_markdown(outcome: Outcome) -> str:
    """For people: the verdict, a table with what needs attention first, and what to do about it."""
    results = sorted(outcome.results, key=lambda result: (_ORDER.index(result.verdict), result.cell))
    rule, chance = outcome.rule, outcome.rule.chance
    commit = f" (`{outcome.reference.commit[:12]}`)" if outcome.reference.commit else ""
    found = {verdict: sum(result.verdict is verdict for result in results) for verdict in _ORDER}
    lines = [
        f"## Gate: {overall(results)}",
        "",
        f"Profile `{outcome.profile}` against `{outcome.reference.name}`{commit}: "
        + f"{count(len(results), 'cell')}, "
        + ", ".join(f"{number} {verdict}" for verdict, number in found.items() if number)
        + ".",
        "",
        f"| | cell | verdict | {' | '.join(_TITLES[name] for name in SHOWN)} | p (Holm) "
        f"| detectable with {100 * chance.power:g} % |",
        f"|---|---|---|{'--:|' * (len(SHOWN) + 2)}",
    ]
    for result in results:
        cells = [_MARKS.get(result.verdict, ""), f"`{result.cell}`", str(result.verdict)]
        lines.append(f"| {' | '.join([*cells, *_figures(result.comparison)])} |")
    lines += [
        "",
        f"Reference → candidate (difference; its one-sided {100 * chance.confidence:g} % upper bound). A "
        f"regression is a difference below −{rule.margin:g} with an upper bound below 0 and p < "
        f"{1 - chance.confidence:.2g}. The last column is the loss of balanced accuracy that this comparison "
        "would have called a regression in that share of cases.",
    ]
    notes = [f"- `{result.cell}`: {note}" for result in results for note in result.notes]
    if notes:
        lines += ["", *notes]
    todo = [f"- **{verdict}**: {text}." for verdict, text in _NEXT.items() if found[verdict]]
    if todo:
        lines += ["", *todo, "", "`docs/gate.md` says more."]
    if outcome.spent:
        lines += [
            "",
            "Spent, since the reference holds them already; remove them from params.yaml: "
            + "; ".join(f"{entry.change} of {', '.join(entry.cells)}" for entry in outcome.spent)
            + ".",
        ]
    return "\n".join(lines) + "\n"


def refused_json(error: UserError) -> dict[str, Any]:
    """For machines, without a comparison: `verdict`, `exit_code`, `problem`, `remedy`, no `cells`."""
    return {
        "verdict": "not comparable",
        "exit_code": 2,
        "problem": error.problem,
        "remedy": error.remedy,
        "cells": [],
    }


def refused_markdown(error: UserError) -> str:
    """For people, without a comparison."""
    return f"## Gate: not comparable\n\n{error.problem}\n\n→ {error.remedy}\n"


def _figures(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return [DASH] * (len(SHOWN) + 2)
    texts = [_change(comparison, name) for name in SHOWN]
    if comparison.detectable is None:
        return [*texts, DASH, DASH]
    return [*texts, p_value(comparison.p_holm), f"{100 * comparison.detectable:.1f} points"]


def _change(comparison: Comparison, name: str) -> str:
    before, after = comparison.reference[name], comparison.candidate[name]
    text = f"{signed(f'{before:.3f}')} → {signed(f'{after:.3f}')}"
    difference = comparison.differences[name]
    if difference == 0:
        return text
    inside = signed(f"{difference:+.3f}")
    if name in DECIDING:
        inside += f"; {signed(f'{comparison.upper[name]:+.3f}')}"
    return f"{text} ({inside})"


def _cell_json(result: CellResult) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "cell": result.cell,
        "verdict": str(result.verdict),
        "notes": list(result.notes),
    }
    comparison = result.comparison
    if comparison is None:
        return entry
    for name in SHOWN:
        entry[name] = {
            "reference": _number(comparison.reference, name),
            "candidate": _number(comparison.candidate, name),
            "difference": _number(comparison.differences, name),
        }
        if name in DECIDING:
            entry[name]["upper"] = _number(comparison.upper, name)
    return entry | {
        "training_sd": comparison.training_sd,
        "p_value": comparison.p_value,
        "p_holm": comparison.p_holm,
        "detectable_loss": comparison.detectable,
    }


def _number(values: Mapping[str, float], name: str) -> float | None:
    return None if math.isnan(values[name]) else values[name]


def _plain(entry: Declared) -> dict[str, Any]:
    return {"cells": list(entry.cells), "change": entry.change, "reason": entry.reason}
