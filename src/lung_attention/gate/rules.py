"""From differences to verdicts, and from verdicts to an exit code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from lung_attention.evaluation.multiplicity import holm
from lung_attention.evaluation.weighted import Floats
from lung_attention.gate.bounds import detectable_loss, upper_bounds
from lung_attention.gate.chance import Chance, Luck
from lung_attention.gate.pairing import Pair
from lung_attention.gate.scores import DECIDING, SIGNS, differences_of, gains, mean_scores
from lung_attention.gate.swaps import null_gains, pooled, worst_p_value


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
        margins: For each score of `DECIDING` a loss that is none, in the score's own unit.
        pooled_error: What the pooled test has of the family's chance of a false alarm, 1 − confidence.
        chance: How chance is judged.
    """

    margins: Mapping[str, float]
    pooled_error: float
    chance: Chance

    def error(self, changed: int) -> float:
        """The chance of a false alarm among the tests of single cells, of which `changed` have changed.

        A single one has nothing to be pooled with, and leaves nothing to the pooled test.
        """
        family = 1 - self.chance.confidence
        return family if changed < 2 else family - self.pooled_error

    def beyond_margin(self, gains: Floats) -> NDArray[np.bool_]:
        """`(4,)` bool, the scores that fell by more than their margins, for `(4,)` gains."""
        return np.asarray([gain < -self.margins[name] for name, gain in zip(DECIDING, gains, strict=True)])


@dataclass(frozen=True)
class Comparison:
    """The metrics of one compared cell.

    Attributes:
        reference: Scores of `DECIDING`, means over the paired seeds.
        candidate: Likewise.
        differences: Candidate − reference.
        bounds: One-sided bounds of the differences: upper ones, of log loss the lower one. Empty where no
            score fell by more than its margin.
        luck: What is taken for one training's luck.
        p_value: Of the permutation test; 1 where no score fell by more than its margin and its bound.
        p_holm: Adjusted for the other changed cells.
        detectable: The loss of balanced accuracy that would have been detected (see
            `bounds.detectable_loss`); None where nothing changed.
    """

    reference: dict[str, float]
    candidate: dict[str, float]
    differences: dict[str, float]
    bounds: dict[str, float]
    luck: Luck
    p_value: float = 1.0
    p_holm: float = 1.0
    detectable: float | None = None


@dataclass(frozen=True)
class CellResult:
    """What the gate found of one cell.

    Attributes:
        cell: Its name.
        verdict: What decides.
        notes: Sentences for people.
        comparison: The metrics, where there was something to compare.
    """

    cell: str
    verdict: Verdict
    notes: list[str] = field(default_factory=list)
    comparison: Comparison | None = None


@dataclass(frozen=True)
class Pooled:
    """What the gate found of all changed cells together.

    Attributes:
        cells: How many changed, without those whose loss is wanted.
        differences: Candidate − reference of each score, means over these cells.
        p_value: Of the joint permutation test; 1 where no mean fell by more than its margin.
        regression: Whether they are worse together than chance explains.
    """

    cells: int
    differences: dict[str, float]
    p_value: float
    regression: bool


@dataclass(frozen=True)
class Judged:
    """Verdicts on a family of cells.

    Attributes:
        cells: Of each.
        pooled: On all changed ones together; None where fewer than two changed.
    """

    cells: dict[str, CellResult]
    pooled: Pooled | None


def compare_pairs(
    pairs: Mapping[str, Pair],
    luck: Mapping[str, Luck],
    rule: Rule,
    *,
    datasets: Mapping[str, str],
    wanted: Collection[str] = (),
) -> Judged:
    """Compares all cells, and judges them together.

    Args:
        pairs: Candidate and reference of each cell.
        luck: Of one training of each cell (see `chance.Luck`).
        rule: Margins and chance.
        datasets: The dataset of each cell; cells of one share images.
        wanted: Cells whose loss is wanted: the pooled test leaves them out.

    Returns:
        For each cell `identical`, `pass`, `inconclusive` or `regression`, and the pooled verdict. Cells in
        which no probability differs are no hypotheses: Holm's method does not count them.
    """
    changed = [name for name, pair in pairs.items() if not pair.identical]
    error = rule.error(len(changed))
    figures = {name: _figures(pair, luck[name], rule) for name, pair in pairs.items()}
    seen = {name: gains(figures[name].differences) for name in changed}
    counted = {name: _counted(figures[name], rule) for name in changed}
    poolable = [name for name in changed if name not in wanted]
    together = len(changed) > 1 and len(poolable) > 1
    means = np.mean([seen[name] for name in poolable], axis=0) if together else np.zeros(len(DECIDING))
    lost_together = rule.beyond_margin(means)

    needed = {name for name in changed if counted[name].any()}
    if lost_together.any():
        needed |= set(poolable)
    drawn = _drawn({name: pairs[name] for name in changed if name in needed}, luck, datasets, rule.chance)
    p_values = {
        name: worst_p_value(seen[name], counted[name], drawn[name]) if counted[name].any() else 1.0
        for name in changed
    }
    adjusted = dict(zip(changed, holm([p_values[name] for name in changed]), strict=True))
    results = {}
    for name, pair in pairs.items():
        comparison, verdict = figures[name], Verdict.IDENTICAL
        if name in adjusted:
            detectable = detectable_loss(
                pair, margin=rule.margins["balanced_accuracy"], training_sd=luck[name].balanced_accuracy,
                error=error / len(changed), power=rule.chance.power,
            )  # fmt: skip
            comparison = replace(
                comparison, p_value=p_values[name], p_holm=adjusted[name], detectable=detectable
            )  # fmt: skip
            verdict = _verdict(comparison, rule, error)
        results[name] = CellResult(name, verdict, comparison=comparison)
    if not together:
        return Judged(results, None)
    p_value = 1.0
    if lost_together.any():
        sums = pooled([seen[name] for name in poolable], [drawn[name] for name in poolable])
        p_value = worst_p_value(sums[0], lost_together, sums[1])
    differences = {name: SIGNS[name] * float(gain) for name, gain in zip(DECIDING, means, strict=True)}
    return Judged(results, Pooled(len(poolable), differences, p_value, p_value < rule.pooled_error))


def exit_code(verdicts: Iterable[Verdict], pooled: Pooled | None = None) -> int:
    """0 pass, 1 regression (of a cell, or of all together) or below floor, 2 not comparable.

    A loss that was found is a loss, whatever else could not be compared: 1 goes before 2.
    """
    found = set(verdicts)
    if found & set(LOST) or (pooled is not None and pooled.regression):
        return 1
    return 2 if Verdict.NOT_COMPARABLE in found else 0


def overall(results: Sequence[CellResult], pooled: Pooled | None = None) -> str:
    """The gate's verdict in words."""
    code = exit_code((result.verdict for result in results), pooled)
    if code == 0 and any(result.verdict is Verdict.INCONCLUSIVE for result in results):
        return "pass, with a warning"
    return ("pass", "fail", "not comparable")[code]


def _drawn(
    pairs: Mapping[str, Pair], luck: Mapping[str, Luck], datasets: Mapping[str, str], chance: Chance
) -> dict[str, Floats]:
    drawn: dict[str, Floats] = {}
    for dataset in sorted({datasets[name] for name in pairs}):
        of_dataset = {name: pair for name, pair in pairs.items() if datasets[name] == dataset}
        drawn |= null_gains(of_dataset, luck, dataset=dataset, chance=chance)
    return drawn


def _figures(pair: Pair, luck: Luck, rule: Rule) -> Comparison:
    reference, candidate = mean_scores(pair.reference), mean_scores(pair.candidate)
    differences = differences_of(candidate, reference)
    gain = gains(differences)
    bounds = {}
    if rule.beyond_margin(gain).any():
        upper = upper_bounds(pair, gain, rule.chance)
        bounds = {name: SIGNS[name] * float(bound) for name, bound in zip(DECIDING, upper, strict=True)}
    return Comparison(reference, candidate, differences, bounds, luck)


def _counted(comparison: Comparison, rule: Rule) -> NDArray[np.bool_]:
    """`(4,)` bool: scores that fell by more than their margins, and would with other test images, too."""
    if not comparison.bounds:
        return np.zeros(len(DECIDING), dtype=bool)
    return rule.beyond_margin(gains(comparison.differences)) & (gains(comparison.bounds) < 0)


def _verdict(comparison: Comparison, rule: Rule, error: float) -> Verdict:
    if _counted(comparison, rule).any() and comparison.p_holm < error:
        return Verdict.REGRESSION
    return Verdict.INCONCLUSIVE if comparison.bounds else Verdict.PASS
