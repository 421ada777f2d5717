"""From differences to verdicts, and from verdicts to an exit code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lung_attention.evaluation.paired_tests import holm
from lung_attention.gate.compare import (
    DECIDING,
    Chance,
    detectable_loss,
    mean_scores,
    score_differences,
    seed_spread,
    swap_p_value,
    upper_bounds,
)
from lung_attention.gate.pairing import Pair


class Verdict(StrEnum):
    """What the gate says of a cell."""

    IDENTICAL = "identical"
    PASS = "pass"
    NEW = "new"
    DECLARED = "declared"
    INCONCLUSIVE = "inconclusive"
    REGRESSION = "regression"
    BELOW_FLOOR = "below floor"
    NOT_COMPARABLE = "not comparable"


LOST = (Verdict.REGRESSION, Verdict.BELOW_FLOOR)


@dataclass(frozen=True)
class Rule:
    """When a difference is a regression.

    Attributes:
        margin: Smaller losses are none, in fractions of 1.
        chance: How chance is judged.
    """

    margin: float
    chance: Chance


@dataclass(frozen=True)
class Comparison:
    """The figures of one compared cell.

    Attributes:
        reference: Scores of `SHOWN`, means over the paired seeds.
        candidate: Likewise.
        differences: Candidate − reference.
        upper: One-sided upper bounds of the deciding differences.
        training_sd: What was taken for the spread of one training (see `compare.swap_p_value`).
        p_value: Of the permutation test.
        p_holm: Adjusted over the compared cells in which a decision differs.
        detectable: The loss of balanced accuracy that would have been detected (see
            `compare.detectable_loss`); None where no decision differs.
    """

    reference: dict[str, float]
    candidate: dict[str, float]
    differences: dict[str, float]
    upper: dict[str, float]
    training_sd: float
    p_value: float
    p_holm: float
    detectable: float | None


@dataclass(frozen=True)
class CellResult:
    """What the gate found of one cell.

    Attributes:
        cell: Its name.
        verdict: What decides.
        notes: Sentences for people.
        comparison: The figures, where there was something to compare.
    """

    cell: str
    verdict: Verdict
    notes: list[str] = field(default_factory=list)
    comparison: Comparison | None = None


def is_beyond_margin(differences: Mapping[str, float], margin: float) -> bool:
    """Whether a deciding score fell by more than the margin."""
    return any(differences[name] < -margin for name in DECIDING)


def is_regression(
    differences: Mapping[str, float], upper: Mapping[str, float], p_holm: float, rule: Rule
) -> bool:
    """Whether a loss is beyond the margin and beyond both kinds of chance.

    Args:
        differences: Candidate − reference of each deciding score.
        upper: Their one-sided upper bounds.
        p_holm: Adjusted p value of the permutation test.
        rule: Margin and confidence.
    """
    lost = any(differences[name] < -rule.margin and upper[name] < 0 for name in DECIDING)
    return lost and p_holm < 1 - rule.chance.confidence


def compare_pairs(
    pairs: Mapping[str, Pair], reference_spread: Mapping[str, float], rule: Rule
) -> dict[str, CellResult]:
    """Compares all cells, and judges them together.

    Args:
        pairs: Candidate and reference of each cell.
        reference_spread: For each cell the standard deviation of one training's balanced accuracy.
        rule: Margin and chance.

    Returns:
        For each cell `identical`, `pass`, `inconclusive` or `regression`. Cells in which no decision differs
        are no hypotheses: Holm's method does not count them.
    """
    figures = {name: _figures(pair, reference_spread[name], rule) for name, pair in pairs.items()}
    moved = [name for name, pair in pairs.items() if not pair.decided_alike]
    adjusted = dict(zip(moved, holm([figures[name].p_value for name in moved]), strict=True))
    results = {}
    for name, pair in pairs.items():
        comparison = figures[name]
        if name in adjusted:
            detectable = detectable_loss(
                pair, margin=rule.margin, training_sd=comparison.training_sd, chance=rule.chance,
                comparisons=len(moved),
            )  # fmt: skip
            comparison = replace(comparison, p_holm=adjusted[name], detectable=detectable)
        results[name] = CellResult(name, _verdict(pair, comparison, rule), comparison=comparison)
    return results


def spread_of(pair: Pair, training_sd: float) -> float:
    """The spread of one training: as the parameters say, or more where the reference's seeds show more.

    The candidate's own seeds do not count: a change that makes trainings erratic must not excuse itself.
    """
    return max(training_sd, seed_spread(pair.reference))


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """0 pass, 1 regression or below floor, 2 not comparable.

    A loss that was found is a loss, whatever else could not be compared: 1 goes before 2.
    """
    found = set(verdicts)
    if found & set(LOST):
        return 1
    return 2 if Verdict.NOT_COMPARABLE in found else 0


def floor_breaches(scores: Mapping[str, float], *, floor: float) -> list[str]:
    """What is too low whatever the reference says; empty if nothing is.

    Args:
        scores: Of the candidate.
        floor: The balanced accuracy to exceed, not below that of a majority vote, 1 / classes.

    Returns:
        Sentences. A majority vote has an MCC of 0, which has to be exceeded too.
    """
    breaches = []
    if not scores["balanced_accuracy"] > floor:
        breaches.append(f"balanced accuracy {scores['balanced_accuracy']:.3f} is not above {floor:.3f}")
    if not scores["mcc"] > 0:
        breaches.append(f"MCC {scores['mcc']:.3f} is not above 0, that of a majority vote")
    return breaches


def overall(results: Sequence[CellResult]) -> str:
    """The gate's verdict in words."""
    code = exit_code(result.verdict for result in results)
    if code == 0 and any(result.verdict is Verdict.INCONCLUSIVE for result in results):
        return "pass, with a warning"
    return ("pass", "fail", "not comparable")[code]


def _figures(pair: Pair, training_sd: float, rule: Rule) -> Comparison:
    differences = score_differences(pair)
    unmoved = pair.decided_alike
    return Comparison(
        reference=mean_scores(pair.reference),
        candidate=mean_scores(pair.candidate),
        differences=differences,
        upper=dict.fromkeys(DECIDING, 0.0) if unmoved else upper_bounds(pair, differences, rule.chance),
        training_sd=training_sd,
        p_value=swap_p_value(pair, differences, training_sd=training_sd, chance=rule.chance),
        p_holm=1.0,
        detectable=None,
    )


def _verdict(pair: Pair, comparison: Comparison, rule: Rule) -> Verdict:
    if pair.identical:
        return Verdict.IDENTICAL
    if is_regression(comparison.differences, comparison.upper, comparison.p_holm, rule):
        return Verdict.REGRESSION
    if is_beyond_margin(comparison.differences, rule.margin):
        return Verdict.INCONCLUSIVE
    return Verdict.PASS
