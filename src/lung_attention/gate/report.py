"""What the gate found, as a Markdown table for people and as JSON for machines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from lung_attention.errors import UserError
from lung_attention.gate.changes import Changes
from lung_attention.gate.declared import Declared
from lung_attention.gate.rules import CellResult, Comparison, Pooled, Rule, Verdict, exit_code, overall
from lung_attention.gate.scores import DECIDING, TITLES
from lung_attention.report.numbers import DASH, count, listed, p_value, signed
from lung_attention.report.staleness import named

if TYPE_CHECKING:
    from lung_attention.workflow.stale import Staleness

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
_NEXT = {
    Verdict.REGRESSION: "a loss that neither other test images nor another training explains: find its cause",
    Verdict.BELOW_FLOOR: "too low whatever the reference says",
    Verdict.NOT_COMPARABLE: "declare the change with its reason in params.yaml, if it is wanted",
    Verdict.INCONCLUSIVE: "worse by more than a margin, but not more than chance allows; "
    "losses smaller than the one in the last column are easily missed",
}


_LISTED, _LONGEST = 12, 60  # changes, and characters of a value


@dataclass(frozen=True)
class Outcome:
    """Everything a report says.

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
        verdicts = [result.verdict for result in self.results]
        code = exit_code(verdicts, self.pooled)
        doubtful = self.is_stale or Verdict.INCONCLUSIVE in verdicts
        return 1 if code == 0 and self.strict and doubtful else code


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


def to_markdown(outcome: Outcome) -> str:
    """For people: the verdict, a table with what needs attention first, and what to do about it."""
    results = sorted(outcome.results, key=lambda result: (_ORDER.index(result.verdict), result.cell))
    rule, chance = outcome.rule, outcome.rule.chance
    commit = f" (`{outcome.commit[:12]}`)" if outcome.commit else ""
    found = {verdict: sum(result.verdict is verdict for result in results) for verdict in _ORDER}
    lines = [
        f"## Gate: {outcome.verdict}",
        "",
        f"`{outcome.subject}` against `{outcome.reference}`{commit}: "
        + f"{count(len(results), 'cell')}, "
        + ", ".join(f"{number} {verdict}" for verdict, number in found.items() if number)
        + ".",
        "",
        *_staleness(outcome),
        *_changes(outcome.changes),
        *_together(outcome.pooled, rule),
        f"| | cell | verdict | {' | '.join(TITLES[name] for name in DECIDING)} | p (Holm) "
        f"| detectable with {100 * chance.power:g} % |",
        f"|---|---|---|{'--:|' * (len(DECIDING) + 2)}",
    ]
    for result in results:
        cells = [_MARKS.get(result.verdict, ""), f"`{result.cell}`", str(result.verdict)]
        lines.append(f"| {' | '.join([*cells, *_figures(result.comparison)])} |")
    error = rule.error(sum(result.comparison is not None and _changed(result) for result in results))
    margins = listed([f"{TITLES[name]} {rule.margins[name]:g}" for name in DECIDING])
    lines += [
        "",
        "Reference → candidate (difference; where a score fell by more than its margin, the one-sided "
        f"{100 * chance.confidence:g} % bound of the difference). A regression is a loss of more than a "
        f"margin ({margins}) whose bound does not reach back to 0, with p < {error:.2g}. The last column is "
        "the loss of balanced accuracy that would have been called a regression in that share of cases.",
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


def _changed(result: CellResult) -> bool:
    return result.comparison is not None and result.comparison.detectable is not None


def _together(pooled: Pooled | None, rule: Rule) -> list[str]:
    """The verdict on all changed cells together, a paragraph."""
    if pooled is None:
        return []
    means = [
        f"{TITLES[name]} {signed(f'{difference:+.3f}')}" for name, difference in pooled.differences.items()
    ]
    verdict = "❌ **a regression**" if pooled.regression else "no regression"
    chance = (
        f"p {_p(pooled.p_value)} of {rule.pooled_error:g}"
        if pooled.p_value < 1
        else "no mean loss of more than a margin"
    )
    return [
        f"All {pooled.cells} changed cells together: {verdict} ({chance}); "
        f"mean differences: {listed(means)}.",
        "",
    ]


def _staleness(outcome: Outcome) -> list[str]:
    """Whether the candidate is what its code and parameters give, a paragraph."""
    stale = outcome.stale
    if stale is None:
        text = "Whether these results are of this code and these parameters was not asked"
        return [f"{text}: {outcome.not_asked}.", ""] if outcome.not_asked else []
    if not stale.stages:
        return []
    return [
        "⚠️ **The results are stale**: this code and these parameters may give others. Stages with "
        + "; with ".join(f"{reason}: {named(stages)}" for reason, stages in stale.by_reason.items())
        + f". `{stale.remedy}` makes them anew, and what follows them.",
        "",
    ]


def _changes(changes: Changes) -> list[str]:
    """What else differs between the two sides, a paragraph a kind."""
    said = [
        f"`{key}`: {_value(before)} → {_value(after)}"
        for key, (before, after) in list(changes.params.items())[:_LISTED]
    ]
    lines = [f"Changed parameters: {'; '.join(said)}{_more(len(changes.params))}."] if said else []
    files = [f"`{name}`" for name in changes.files[:_LISTED]]
    lines += [f"Changed code: {', '.join(files)}{_more(len(changes.files))}."] if files else []
    return [line for one in lines for line in (one, "")]


def _value(value: Any) -> str:
    text = "absent" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _more(number: int) -> str:
    return f"; {number - _LISTED} more in the JSON" if number > _LISTED else ""


def _p(value: float) -> str:
    text = p_value(value)
    return text if text.startswith("<") else f"= {text}"


def _figures(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return [DASH] * (len(DECIDING) + 2)
    texts = [_change(comparison, name) for name in DECIDING]
    if comparison.detectable is None:
        return [*texts, DASH, DASH]
    p = p_value(comparison.p_holm) if comparison.p_value < 1 else DASH
    return [*texts, p, f"{100 * comparison.detectable:.1f} points"]


def _change(comparison: Comparison, name: str) -> str:
    before, after = comparison.reference[name], comparison.candidate[name]
    text = f"{signed(f'{before:.3f}')} → {signed(f'{after:.3f}')}"
    difference = comparison.differences[name]
    if difference == 0:
        return text
    inside = signed(f"{difference:+.3f}")
    if name in comparison.bounds:
        inside += f"; {signed(f'{comparison.bounds[name]:+.3f}')}"
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
