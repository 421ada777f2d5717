"""The answers that open a report: a profile's verdicts in plain words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from lung_attention.cells import PUBLISHED
from lung_attention.evaluation.verdicts import ABOVE, BELOW, HELPS, HURTS, OPEN, WITHIN
from lung_attention.report.answers_by_dataset import remains, sees_more, share_of
from lung_attention.report.blocks import Answer, Bullets
from lung_attention.report.numbers import count

Entry = Mapping[str, Any]

REPRODUCED = "Are the published results reproduced?"
REMAINS = "What remains without known leakage?"
HELPS_QUESTION = "Does attention help?"
SEES_MORE = "Do the networks see more than a machine that cannot see disease?"


def answers(
    comparisons: Mapping[str, Any],
    *,
    datasets: Mapping[str, str],
    backbones: Mapping[str, str],
    baselines: Mapping[str, str],
) -> list[Answer]:
    """The report's first screen, in plain words.

    Args:
        comparisons: The content of `comparisons.json` (schemas in `evaluation.comparisons`).
        datasets: Names of datasets for people, by id.
        backbones: Names of backbones for people, by id.
        baselines: Names of baselines for people, by name.

    Returns:
        Whether published results are reproduced (where there are any), what remains without known leakage,
        whether networks see more than machines that cannot see disease, whether attention helps, and
        whether other recipes do (where there are any).
    """
    words = _Words(datasets, backbones)
    attention, leakage = comparisons["attention_vs_plain"], comparisons["leakage"]
    simple = _made_by(PUBLISHED, comparisons["network_vs_baseline"])
    found = [
        Answer(REMAINS, *remains(_made_by(PUBLISHED, leakage), datasets)),
        Answer(SEES_MORE, *sees_more(simple, datasets, baselines)),
        words.helps(_made_by(PUBLISHED, attention)),
    ]
    gains = comparisons["recipe_vs_published"]
    for recipe in dict.fromkeys(entry["recipe"] for entry in gains):
        found.append(words.recipe_helps(recipe, _made_by(recipe, gains), _made_by(recipe, attention)))
    if comparisons["stand_in"]:
        found = [on_stand_ins(one) for one in found]
    if not comparisons["reproduction"]:
        return found
    if comparisons["stand_in"]:
        return [_NOT_ASSESSED, *found]
    return [words.reproduced(comparisons["reproduction"]), *found]


def on_stand_ins(answer: Answer) -> Answer:
    """The same answer, marked as one that says nothing about the disease."""
    return Answer(answer.question, f"{answer.verdict}, on stand-ins", answer.numbers, answer.details)


_NOT_ASSESSED = Answer(
    REPRODUCED,
    "Not assessed",
    "This run uses stand-ins for the images or the backbones, so it can neither reproduce nor refute a "
    "published result; it shows that the workflow runs.",
    [],
)
_QUESTIONS = {
    "searched": "Do settings found by a search help?",
    "recommended": "Does the recommended recipe help?",
    "finetuned": "Does fitting the backbone help?",
}
_OF_RECIPE = {
    "searched": "with found settings",
    "recommended": "by the recommended recipe",
    "finetuned": "with the backbone fitted",
}


def _made_by(recipe: str, entries: Sequence[Entry]) -> list[Entry]:
    """The entries on a recipe, and those on what has none, such as a baseline."""
    return [entry for entry in entries if entry.get("recipe") in (recipe, None)]


class _Words:
    """Sentences about one profile's verdicts."""

    def __init__(self, datasets: Mapping[str, str], backbones: Mapping[str, str]) -> None:
        self._datasets = datasets
        self._backbones = backbones

    def reproduced(self, entries: Sequence[Entry]) -> Answer:
        """Answers whether the published results are reproduced."""
        plain = [entry for entry in entries if entry["head"] == "plain"]
        checked = [entry for entry in plain if entry["verdict"] != OPEN]
        missing = [self._cell(entry) for entry in _of(plain, OPEN)]
        details = []
        if missing:
            details.append(f"Not run here: {'; '.join(missing)}.")
        attended = [entry for entry in entries if entry["head"] == "attention" and entry["verdict"] != OPEN]
        if attended:
            details.append(
                "With attention connected, as the paper describes it, "
                f"{share_of(_of(attended, WITHIN), attended, 'lies', 'lie')} within sampling error."
            )
        if not checked:
            numbers = "No published accuracy was checked as the published code really ran."
            return Answer(REPRODUCED, "Open", numbers, [Bullets(details)])
        within = _of(checked, WITHIN)
        verdict = "In part" if within else "No"
        if len(within) == len(checked):
            verdict = "Yes, as far as checked" if missing else "Yes"
        numbers = f"{len(checked)} of {len(plain)} were regenerated; " if missing else ""
        numbers += (
            "without attention, as the published code ran, "
            f"{share_of(within, checked, 'lies', 'lie')} within the sampling error of both"
        )
        if len(within) < len(checked):
            adjusted = sum(entry["verdict_holm"] == WITHIN for entry in checked)
            numbers += f" ({adjusted} of {len(checked)} with Holm's adjustment)"
        for of_verdict, lead in ((BELOW, "ours is lower for"), (ABOVE, "ours is higher for")):
            off = _of(checked, of_verdict)
            if off:
                numbers += f"; {lead} {' and '.join(self._scores(entry) for entry in off)}"
                told = [self._difference(entry) for entry in off]
                details.append(f"{lead[0].upper()}{lead[1:]} {'; '.join(told)}.")
        return Answer(REPRODUCED, verdict, f"{numbers[0].upper()}{numbers[1:]}.", [Bullets(details)])

    def helps(self, entries: Sequence[Entry]) -> Answer:
        """Answers whether attention helps, first where nothing leaks."""
        parts = list(_by_split(entries))
        if not parts:
            return Answer(HELPS_QUESTION, "Open", "No network was measured with and without attention.", [])
        (where, first), *_ = parts
        verdict = _verdict(first)
        numbers = f"{where}, {_counted(first, self._where)}; {_other_scores(first)}."
        details = [text for place, here in parts for text in self._told(place, here)]
        return Answer(HELPS_QUESTION, verdict, numbers, [Bullets(details)])

    def recipe_helps(self, recipe: str, gains: Sequence[Entry], attention: Sequence[Entry]) -> Answer:
        """Answers whether a recipe does better than the published one, and attention where both have it."""
        parts = list(_by_split(gains))
        (where, first), *_ = parts
        numbers = f"{where}, {_counted(first, self._where)}; {_other_scores(first)}."
        details = [text for place, here in parts for text in self._told(place, here)]
        how = _OF_RECIPE.get(recipe, f"by the recipe {recipe}")
        for number, (place, here) in enumerate(_by_split(attention)):
            on = "" if here[0]["split"] == "grouped" else f" {place[0].lower()}{place[1:]}"
            against = f"Attention against plain{on}, both {how}"
            details.append(self._helps_on(against, here))
            if not number and (_of(here, HELPS) or _of(here, HURTS)):
                numbers += f" {against}: {_counted(here, self._where)}."
        question = _QUESTIONS.get(recipe, f"Does the recipe {recipe} help?")
        return Answer(question, _verdict(first), numbers, [Bullets(details)])

    def _told(self, where: str, entries: Sequence[Entry]) -> list[str]:
        scores = f"By intervals of their own, of {len(entries)}: {_other_scores(entries)}."
        return [self._helps_on(where, entries), scores]

    def _helps_on(self, where: str, entries: Sequence[Entry]) -> str:
        return f"{where}, {_lower(_verdict(entries))}: {_counted(entries, self._changes)}."

    def _where(self, entries: Sequence[Entry]) -> str:
        """The range of changes, and the datasets they are found on."""
        changes = [100 * entry["differences"]["accuracy"]["difference"] for entry in entries]
        low, high = points(min(changes, key=abs)), points(max(changes, key=abs))
        named = dict.fromkeys(self._datasets.get(entry["dataset"], entry["dataset"]) for entry in entries)
        return f"{low if low == high else f'{low} to {high}'} points on {'; '.join(named)}"

    def _changes(self, entries: Sequence[Entry]) -> str:
        """Each classifier with its change."""
        return "; ".join(self._change(entry) for entry in entries)

    def _cell(self, entry: Entry) -> str:
        dataset, backbone = entry["dataset"], entry["backbone"]
        return f"{self._backbones.get(backbone, backbone)} on {self._datasets.get(dataset, dataset)}"

    def _scores(self, entry: Entry) -> str:
        return (
            f"{self._cell(entry)}, {100 * entry['ours']['accuracy']:.1f} % against "
            f"{100 * entry['published']['accuracy']:.1f} %"
        )

    def _difference(self, entry: Entry) -> str:
        return (
            f"{self._scores(entry)} ({points(100 * entry['difference'])} points, "
            f"interval {points(100 * entry['low'])} to {points(100 * entry['high'])})"
        )

    def _change(self, entry: Entry) -> str:
        head = f", {entry['head']} head," if "head" in entry else ""
        change = points(100 * entry["differences"]["accuracy"]["difference"])
        return f"{self._cell(entry)}{head} {change} points"


def points(value: float) -> str:
    """A signed number of percentage points, with as many digits as tell it from 0."""
    text = f"{value:+.1f}" if abs(value) >= 0.05 or value == 0 else f"{value:+.2g}"
    return "0.0" if value == 0 else text.replace("-", "−")


def _lower(verdict: str) -> str:
    return f"{verdict[0].lower()}{verdict[1:]}"


def _verdict(entries: Sequence[Entry]) -> str:
    helps, hurts = _of(entries, HELPS), _of(entries, HURTS)
    if not helps and not hurts:
        return "Not shown"
    if helps and hurts:
        return "Mixed"
    if helps:
        return "Yes" if len(helps) == len(entries) else "In part"
    return "No, it hurts" if len(hurts) == len(entries) else "No, in part it hurts"


def _counted(entries: Sequence[Entry], told: Callable[[Sequence[Entry]], str]) -> str:
    """How many comparisons are better, worse and undecided; `told` names those that are decided."""
    helps, hurts = _of(entries, HELPS), _of(entries, HURTS)
    n = len(entries)
    if not helps and not hurts:
        low = 100 * min(entry["differences"]["accuracy"]["low"] for entry in entries)
        high = 100 * max(entry["differences"]["accuracy"]["high"] for entry in entries)
        return (
            f"0 of {count(n, 'comparison')} are significant (Holm-adjusted); the intervals of the change in "
            f"accuracy reach from {points(low)} to {points(high)} points"
        )
    parts = [
        f"{len(found)} {verb} ({told(found)})"
        for verb, found in (("better", helps), ("worse", hurts))
        if found
    ]
    if undecided := n - len(helps) - len(hurts):
        parts.append(f"{undecided} undecided")
    return f"of {count(n, 'comparison')} (Holm-adjusted) {', '.join(parts)}"


def _by_split(entries: Sequence[Entry]) -> Iterator[tuple[str, list[Entry]]]:
    """Yields the entries of each split that has any, first those where nothing leaks."""
    for split, where in (("grouped", "Without known leakage"), ("published", "On the published split")):
        if here := [entry for entry in entries if entry["split"] == split]:
            yield where, here


def _of(entries: Sequence[Entry], verdict: str) -> list[Entry]:
    return [entry for entry in entries if entry["verdict"] == verdict]


def _other_scores(entries: Sequence[Entry]) -> str:
    """In how many entries log loss and AUROC move beyond their intervals."""
    told = []
    for score, name in (("log_loss", "log loss"), ("auroc_ovr", "AUROC")):
        falls, rises = _falls(entries, score), _rises(entries, score)
        moved = [f"rises in {rises}"] * bool(rises) + [f"falls in {falls}"] * bool(falls)
        told.append(f"the {name} {' and '.join(moved) or 'neither rises nor falls in any'}")
    return "; ".join(told)


def _rises(entries: Sequence[Entry], score: str) -> int:
    """In how many entries the whole interval of the change of a score lies above zero."""
    lows = (entry["differences"][score]["low"] for entry in entries)
    return sum(low is not None and low > 0 for low in lows)


def _falls(entries: Sequence[Entry], score: str) -> int:
    """In how many entries the whole interval of the change of a score lies below zero."""
    highs = (entry["differences"][score]["high"] for entry in entries)
    return sum(high is not None and high < 0 for high in highs)
