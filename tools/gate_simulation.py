"""Rates of false alarms and of detection of the gate, on families of cells as they are committed.

python tools/gate_simulation.py     # writes them into docs/gate.md
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from scipy.stats import beta

from gate_families import Family, committed_cells
from lung_attention.config import Config, load_config
from lung_attention.errors import run_guarded
from lung_attention.files import write_text
from lung_attention.gate.chance import Luck
from lung_attention.gate.command import luck_of, rule_of
from lung_attention.gate.pairing import Pair
from lung_attention.gate.rules import CellResult, Judged, Rule, Verdict, compare_pairs
from lung_attention.gate.run import with_floors
from lung_attention.paths import PARAMS
from lung_attention.report.numbers import count
from lung_attention.report.regions import replace_region
from lung_attention.workflow.temporary import profile_of

PROFILES = ("sample", "local")
IN_ONE, IN_ALL = (0.01, 0.02, 0.05, 0.10), (0.01, 0.02)
LUCKIER = 2.0

_RESAMPLES = 2000


@dataclass(frozen=True)
class Effort:
    """How much is simulated of one profile.

    Attributes:
        equal: Families of equal re-runs.
        luckier: Such families whose trainings are luckier than assumed.
        in_all: Families with each loss in all cells.
        in_one: Comparisons of each cell with each loss in it alone.
    """

    equal: int
    luckier: int
    in_all: int
    in_one: int

    def of_part(self) -> Effort:
        """The share of one of `PARTS`."""
        shares = {name: number // PARTS for name, number in vars(self).items()}
        if {name: PARTS * share for name, share in shares.items()} != vars(self):
            raise ValueError(f"Expected multiples of {PARTS}, received {self}.")
        return Effort(**shares)


# Equal re-runs of real images show whether the gate keeps its 5 %: 800 tell a rate of 4 % within 1.4 points.
EFFORTS = {"sample": Effort(160, 52, 40, 4), "local": Effort(800, 16, 12, 4)}
# Each draws from its own seed, so the figures are the same on however many cores they run.
PARTS = 4


@dataclass(frozen=True)
class Alarms:
    """What became of families: one row a family.

    Attributes:
        single: `(families,)` bool, whether a cell was called a regression by itself.
        pooled: Likewise, whether all together were.
        floors: Likewise, whether a cell was below its floor.
    """

    single: Sequence[bool]
    pooled: Sequence[bool]
    floors: Sequence[bool]

    @property
    def any(self) -> list[bool]:
        """Whether the gate failed."""
        return [any(found) for found in zip(self.single, self.pooled, self.floors, strict=True)]

    def __add__(self, other: Alarms) -> Alarms:
        return Alarms(
            [*self.single, *other.single], [*self.pooled, *other.pooled], [*self.floors, *other.floors]
        )


@dataclass(frozen=True)
class Simulated:
    """The rates of one profile.

    Attributes:
        profile: Its name.
        cells: How many.
        images: Of the smallest and of the largest test set.
        equal: Of equal re-runs.
        luckier: Of equal re-runs whose trainings are `LUCKIER` times as lucky as assumed.
        in_all: For each of `IN_ALL`.
        in_one: For each dataset, and for each of `IN_ONE`, whether the one cell with the loss failed.
    """

    profile: str
    cells: int
    images: tuple[int, int]
    equal: Alarms
    luckier: Alarms
    in_all: Sequence[Alarms]
    in_one: Mapping[str, Sequence[Sequence[bool]]]

    def __add__(self, other: Simulated) -> Simulated:
        """Two parts of a profile."""
        return replace(
            self,
            equal=self.equal + other.equal,
            luckier=self.luckier + other.luckier,
            in_all=[one + more for one, more in zip(self.in_all, other.in_all, strict=True)],
            in_one={
                dataset: [[*a, *b] for a, b in zip(found, other.in_one[dataset], strict=True)]
                for dataset, found in self.in_one.items()
            },
        )


class Simulation:
    """The full rule of a profile on simulated families.

    Args:
        config: The configuration.
        profile: Whose cells and gate.
        patterns: What cells' names begin with; all, where there is none.
        part: Other parts draw other families.
    """

    def __init__(
        self, config: Config, profile: str, patterns: Sequence[str] = ("",), *, part: int = 0
    ) -> None:
        settings = profile_of(config, profile)
        self.profile = profile
        self.committed = {
            name: side
            for name, side in committed_cells(profile, config.labels).items()
            if name.startswith(tuple(patterns))
        }
        rule = rule_of(settings.gate)
        self._rule = replace(rule, chance=replace(rule.chance, resamples=_RESAMPLES))
        self._datasets = {name: name.split("-")[0] for name in self.committed}
        self._luck: dict[str, Luck] = {}
        self._floors: dict[str, float] = {}
        for name, dataset in self._datasets.items():
            self._luck[name] = luck_of(settings.training_sd(config.catalog[dataset]))
            self._floors[name] = config.catalog[dataset].floors.model_dump()[name.split("-")[-1]]
        self._seed = [rule.chance.seed, part]

    @property
    def rule(self) -> Rule:
        """The rule with the resamples that are drawn."""
        return self._rule

    def family(self, *, luckier: float = 1.0) -> Family:
        """What draws the re-runs, whose trainings may be luckier than assumed."""
        return Family(self.committed, self._luck, seed=self._seed, luckier=luckier)

    def run(self, effort: Effort) -> Simulated:
        """Simulates equal re-runs and losses."""
        family, lucky = self.family(), self.family(luckier=LUCKIER)
        sizes = [len(side.labels) for side in self.committed.values()]
        return Simulated(
            profile=self.profile,
            cells=len(self.committed),
            images=(min(sizes), max(sizes)),
            equal=self._families(family, 0.0, effort.equal),
            luckier=self._families(lucky, 0.0, effort.luckier),
            in_all=[self._families(family, loss, effort.in_all) for loss in IN_ALL],
            in_one=self._in_one(family, effort.in_one),
        )

    def _families(self, family: Family, loss: float, number: int) -> Alarms:
        found = []
        for _ in range(number):
            pairs = family.pairs(dict.fromkeys(self.committed, loss))
            judged = self._judge(pairs)
            results = self._with_floors(pairs, judged)
            found.append(
                (
                    any(result.verdict is Verdict.REGRESSION for result in judged.cells.values()),
                    judged.pooled is not None and judged.pooled.regression,
                    any(result.verdict is Verdict.BELOW_FLOOR for result in results),
                )
            )
        return Alarms(*zip(*found, strict=True))

    def _in_one(self, family: Family, number: int) -> dict[str, list[list[bool]]]:
        """One cell at a time, in the worst place that Holm's method has for it among all cells."""
        found: dict[str, list[list[bool]]] = {
            dataset: [[] for _ in IN_ONE] for dataset in sorted(set(self._datasets.values()))
        }
        cells = len(self.committed)
        for name, (k, loss), _ in itertools.product(self.committed, enumerate(IN_ONE), range(number)):
            pairs = family.pairs({name: loss})
            judged = self._judge(pairs)
            comparison = judged.cells[name].comparison
            assert comparison is not None
            [result] = self._with_floors(pairs, judged)
            lost = comparison.p_value * cells < self._rule.error(cells)
            found[self._datasets[name]][k].append(lost or result.verdict is Verdict.BELOW_FLOOR)
        return found

    def _judge(self, pairs: Mapping[str, Pair]) -> Judged:
        luck = {name: self._luck[name] for name in pairs}
        return compare_pairs(pairs, luck, self._rule, datasets=self._datasets)

    def _with_floors(self, pairs: Mapping[str, Pair], judged: Judged) -> list[CellResult]:
        return [
            with_floors(CellResult(name, Verdict.PASS), pair.candidate, pair, floor=self._floors[name])
            for name, pair in pairs.items()
            if name in judged.cells
        ]


def to_markdown(results: Sequence[Simulated]) -> str:
    """The tables of docs/gate.md."""
    lines = [
        "| results | families of equal re-runs | a cell called a regression | all together | below a floor "
        f"| **the gate fails** | upper bound (95 %) | trainings {LUCKIER:g} times as lucky as assumed |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for item in results:
        equal = item.equal
        lines.append(
            f"| `{item.profile}`: {count(item.cells, 'cell')} of {item.images[0]:,} to {item.images[1]:,} "
            f"images | {len(equal.any):,} | {_share(equal.single)} | {_share(equal.pooled)} "
            f"| {_share(equal.floors)} | **{_share(equal.any)}** | {_at_most(equal.any)} "
            f"| {_share(item.luckier.any)} |"
        )
    losses = " | ".join(count(round(100 * loss), "point") for loss in IN_ONE)
    in_all = " | ".join(f"{count(round(100 * loss), 'point')} in all cells" for loss in IN_ALL)
    lines += [
        "",
        "Below: share of re-runs with a planted loss that fail; in one cell (mean over the cells of a "
        "dataset, in the worst place among all cells), and in all cells of the profile at once (in brackets: "
        "by the pooled test).",
        "",
        f"| results | {losses} | {in_all} |",
        f"|---|{'--:|' * (len(IN_ONE) + len(IN_ALL))}",
    ]
    for item in results:
        together = [f"{_share(found.any)} ({_share(found.pooled)})" for found in item.in_all]
        lines.append(
            f"| `{item.profile}` | {' | '.join([''] * len(IN_ONE))} | {' | '.join(together)} |"
        )  # fmt: skip
        for dataset, by_loss in item.in_one.items():
            shares = [_share(found) for found in by_loss]
            lines.append(f"| {dataset} | {' | '.join(shares)} | {' | '.join([''] * len(IN_ALL))} |")
    return "\n".join(lines)


def _share(found: Sequence[bool]) -> str:
    return f"{100 * float(np.mean(found)):.1f} %"


def _at_most(found: Sequence[bool]) -> str:
    """Clopper and Pearson's one-sided upper bound of a rate."""
    number, hits = len(found), sum(found)
    bound = 1.0 if hits == number else float(beta.ppf(0.95, hits + 1, number - hits))
    return f"{100 * bound:.1f} %"


def _simulated(part: int, profile: str) -> Simulated:
    return Simulation(load_config(PARAMS), profile, part=part).run(EFFORTS[profile].of_part())


def main() -> None:
    """Simulates the gate of the profiles that CI compares, and writes its rates into the gate's page."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--page", type=Path, default=Path("docs/gate.md"), metavar="FILE")
    arguments = parser.parse_args()
    with ProcessPoolExecutor() as pool:
        parts = {name: [pool.submit(_simulated, part, name) for part in range(PARTS)] for name in PROFILES}
        results = [reduce(add, (part.result() for part in parts[name])) for name in PROFILES]
    for found in results:
        print(f"{found.profile}: the gate fails in {_share(found.equal.any)} of families of equal re-runs")
    page = arguments.page.read_text(encoding="utf-8")
    write_text(arguments.page, replace_region(page, "gate-simulation", to_markdown(results)))


if __name__ == "__main__":
    run_guarded(main)
