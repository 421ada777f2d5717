"""What the gate found, for people: a table in Markdown."""

from __future__ import annotations

from typing import Any

from lung_attention.errors import UserError
from lung_attention.gate.changes import Changes
from lung_attention.gate.outcome import Outcome
from lung_attention.gate.rules import CellResult, Comparison, Pooled, Rule, Verdict
from lung_attention.gate.scores import DECIDING, TITLES
from lung_attention.report.numbers import DASH, count, listed, p_value, signed
from lung_attention.report.staleness import named

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


def to_markdown(outcome: Outcome) -> str:
    """The verdict, a table with what needs attention first, and what to do about it."""
    results = sorted(outcome.results, key=lambda result: (_ORDER.index(result.verdict), result.cell))
    rule, chance = outcome.rule, outcome.rule.chance
    commit = f" (`{outcome.commit[:12]}`)" if outcome.commit else ""
    found = {verdict: sum(result.verdict is verdict for result in results) for verdict in _ORDER}
    lines = [
        f"## Gate: {outcome.verdict}{', which --strict makes a failure' * outcome.fails_by_strictness}",
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


def refused_markdown(error: UserError) -> str:
    """Why there is no comparison."""
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
