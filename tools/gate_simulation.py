"""Rates of false alarms and of detection of the gate, simulated with the classifiers of `gate_cases`.

python tools/gate_simulation.py     # writes them into docs/gate.md
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gate_cases import CASES, Case, World
from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import write_text
from lung_attention.gate.command import rule_of
from lung_attention.gate.compare import (
    cluster_balanced_accuracy,
    detectable_loss,
    score_differences,
    swap_p_value,
    upper_bounds,
)
from lung_attention.gate.pairing import Pair
from lung_attention.gate.rules import Rule, is_beyond_margin, is_regression, spread_of
from lung_attention.paths import PARAMS
from lung_attention.report.numbers import count
from lung_attention.report.regions import replace_region
from lung_attention.workflow.temporary import profile_of

LOSSES = (0.01, 0.02, 0.05, 0.10)
FAMILY = 12
"""Cells compared at once, in the second table."""

_RESAMPLES = 1000


@dataclass(frozen=True)
class Rates:
    """What became of many comparisons of one kind.

    Attributes:
        worse: Share worse by more than the margin.
        bound_alone: Share that the bootstrap's upper bound alone would have called regressions.
        flagged: Share called regressions by themselves.
        flagged_in_family: Share called regressions in the worst place among `FAMILY` cells.
    """

    worse: float
    bound_alone: float
    flagged: float
    flagged_in_family: float


@dataclass(frozen=True)
class Simulated:
    """The rates of one case.

    Attributes:
        case: The test set.
        reruns: Equal re-runs, with other seeds.
        disagreement: Share of images that two equal trainings decide otherwise.
        training_sd: Of the balanced accuracy of one training, beyond what independent groups explain.
        equal: Of the equal re-runs.
        lost: For each of `LOSSES`.
        detectable: Median of the loss that the gate says it could have detected.
        found: Rates at that loss.
    """

    case: Case
    reruns: int
    disagreement: float
    training_sd: float
    equal: Rates
    lost: tuple[Rates, ...]
    detectable: float
    found: Rates


def simulate(case: Case, rule: Rule, training_sd: float, *, reruns: int, repeats: int) -> Simulated:
    """Compares many candidates of one case with their references.

    Args:
        case: The test set.
        rule: The gate's; fewer resamples than it has are drawn, for speed.
        training_sd: The gate's, for this dataset.
        reruns: Equal re-runs.
        repeats: Re-runs with each loss.
    """
    rule = replace(rule, chance=replace(rule.chance, resamples=_RESAMPLES))
    world = World(case, seed=rule.chance.seed)
    equal = [world.pair(0.0) for _ in range(reruns)]
    changed = [pair.candidate.predicted[0] != pair.reference.predicted[0] for pair in equal]
    excess = [_excess(pair) for pair in equal]
    claims = [
        detectable_loss(
            pair, margin=rule.margin, training_sd=spread_of(pair, training_sd), chance=rule.chance,
            comparisons=1,
        )
        for pair in equal[:repeats]
    ]  # fmt: skip
    claim = float(np.median(claims))

    def rates(loss: float) -> Rates:
        return _rates([world.pair(loss) for _ in range(repeats)], rule, training_sd)

    return Simulated(
        case=case,
        reruns=reruns,
        disagreement=float(np.mean(changed)),
        training_sd=math.sqrt(max(0.0, float(np.mean(excess)) / 2)),
        equal=_rates(equal, rule, training_sd),
        lost=tuple(rates(loss) for loss in LOSSES),
        detectable=claim,
        found=rates(min(claim, case.balanced_accuracy)),
    )


def simulate_all(
    rule: Rule,
    training_sd: Mapping[str, float],
    *,
    reruns: int,
    repeats: int,
    tell: Callable[[str], object],
) -> list[Simulated]:
    """Simulates every case of `CASES`; `tell` receives a line after each."""
    results = []
    for case in CASES:
        results.append(simulate(case, rule, training_sd[case.dataset], reruns=reruns, repeats=repeats))
        tell(f"{case.title}: {results[-1].equal.flagged:.3f} of {reruns} equal re-runs called regressions")
    return results


def to_markdown(results: Sequence[Simulated]) -> str:
    """The tables of docs/gate.md."""
    losses = " | ".join(count(round(100 * loss), "point") for loss in LOSSES)
    lines = [
        "| test set | balanced accuracy | decided otherwise by an equal re-run "
        "| one training's own luck (sd) | worse by more than the margin "
        "| the bootstrap's bound alone | **called a regression** |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for item in results:
        equal = item.equal
        lines.append(
            f"| {item.case.title} | {item.case.balanced_accuracy:.2f} | {100 * item.disagreement:.1f} % | "
            f"{100 * item.training_sd:.1f} points | {_percent(equal.worse)} | {_percent(equal.bound_alone)} "
            f"| **{_percent(equal.flagged)}** |"
        )
    lines += [
        "",
        f"Above: {results[0].reruns:,} equal re-runs of each test set. Below: share of re-runs with a "
        f"planted loss that are called a regression, by itself / in the worst place among {FAMILY} cells; "
        "and the loss the gate says it would detect by itself in 80 % of cases, with the share it does.",
        "",
        f"| test set | {losses} | said to be detectable | detected there |",
        f"|---|{'--:|' * (len(LOSSES) + 2)}",
    ]
    for item in results:
        cells = [f"{_percent(of.flagged)} / {_percent(of.flagged_in_family)}" for of in item.lost]
        lines.append(
            f"| {item.case.title} | {' | '.join(cells)} | {100 * item.detectable:.1f} points "
            f"| {_percent(item.found.flagged)} |"
        )
    return "\n".join(lines)


def _rates(pairs: Sequence[Pair], rule: Rule, training_sd: float) -> Rates:
    outcomes = np.asarray([_outcome(pair, rule, training_sd) for pair in pairs], dtype=np.float64)
    worse, bound, flagged, in_family = outcomes.mean(axis=0).tolist()
    return Rates(worse, bound, flagged, in_family)


def _outcome(pair: Pair, rule: Rule, training_sd: float) -> tuple[bool, bool, bool, bool]:
    """Worse than the margin; called a regression by the bound alone, by itself, and among `FAMILY` cells."""
    differences = score_differences(pair)
    if not is_beyond_margin(differences, rule.margin):
        return False, False, False, False
    upper = upper_bounds(pair, differences, rule.chance)
    bound = is_regression(differences, upper, 0.0, rule)
    if not bound:
        return True, False, False, False
    spread = spread_of(pair, training_sd)
    p = swap_p_value(pair, differences, training_sd=spread, chance=rule.chance)
    flagged, in_family = (
        is_regression(differences, upper, min(1.0, p * cells), rule) for cells in (1, FAMILY)
    )  # fmt: skip
    return True, bound, flagged, in_family


def _excess(pair: Pair) -> float:
    """Twice the variance of one training's luck, unbiased (see `compare.seed_spread`)."""
    ours, theirs = cluster_balanced_accuracy(pair.candidate)[0], cluster_balanced_accuracy(pair.reference)[0]
    return float((ours - theirs).sum() ** 2 - ((ours - theirs) ** 2).sum())


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def main() -> None:
    """Simulates the gate of a profile, and writes its rates into the gate's page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--profile", default="local", help="whose gate")
    parser.add_argument("--reruns", type=int, default=1000, help="equal re-runs of each case")
    parser.add_argument("--repeats", type=int, default=200, help="re-runs with each planted loss")
    parser.add_argument("--page", type=Path, default=Path("docs/gate.md"), metavar="FILE")
    arguments = parser.parse_args()
    config = load_config(PARAMS)
    profile = profile_of(config, arguments.profile)
    results = simulate_all(
        rule_of(profile.gate),
        {dataset.id: profile.training_sd(dataset) for dataset in config.catalog.values()},
        reruns=arguments.reruns,
        repeats=arguments.repeats,
        tell=print,
    )
    page = arguments.page.read_text(encoding="utf-8")
    write_text(arguments.page, replace_region(page, "gate-simulation", to_markdown(results)))


if __name__ == "__main__":
    run_guarded(main)
