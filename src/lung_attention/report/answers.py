"""The answers that open a report: a profile's verdicts in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lung_attention.cells import PUBLISHED
from lung_attention.evaluation.verdicts import ABOVE, BELOW, HELPS, HURTS, OPEN, WITHIN
from lung_attention.report.answers_by_dataset import remains, sees_more, share_of

Entry = Mapping[str, Any]

REMAINS = "What remains without known leakage?"
ON_STAND_INS = "(On stand-ins, so this says nothing about the disease.) "
HELPS_QUESTION = "Does attention help?"
SEES_MORE = "Do the networks see more than a machine that cannot see disease?"


def answers(
    comparisons: Mapping[str, Any],
    *,
    datasets: Mapping[str, str],
    backbones: Mapping[str, str],
    baselines: Mapping[str, str],
) -> list[dict[str, str]]:
    """The report's first screen, in plain words.

    Args:
        comparisons: The content of `comparisons.json` (schemas in `evaluation.comparisons`).
        datasets: Names of datasets for people, by id.
        backbones: Names of backbones for people, by id.
        baselines: Names of baselines for people, by name.

    Returns:
        Pairs of `question` and `answer`: whether published results are reproduced (where there are any), what
        remains without known leakage, whether networks see more than machines that cannot see disease,
        whether attention helps, and whether other recipes do (where there are any).
    """
    words = _Words(datasets, backbones, stand_in=comparisons["stand_in"])
    attention, leakage = comparisons["attention_vs_plain"], comparisons["leakage"]
    simple = _made_by(PUBLISHED, comparisons["network_vs_baseline"])
    found = []
    if comparisons["reproduction"]:
        question = "Are the published results reproduced?"
        found.append({"question": question, "answer": words.reproduced(comparisons["reproduction"])})
    found += [
        {"question": REMAINS, "answer": words.preface + remains(_made_by(PUBLISHED, leakage), datasets)},
        {"question": SEES_MORE, "answer": words.preface + sees_more(simple, datasets, baselines)},
        {"question": HELPS_QUESTION, "answer": words.helps(_made_by(PUBLISHED, attention))},
    ]
    gains = comparisons["recipe_vs_published"]
    for recipe in dict.fromkeys(entry["recipe"] for entry in gains):
        question = _QUESTIONS.get(recipe, f"Does the recipe {recipe} help?")
        answer = words.recipe_helps(recipe, _made_by(recipe, gains), _made_by(recipe, attention))
        found.append({"question": question, "answer": answer})
    return found


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

    def __init__(
        self, datasets: Mapping[str, str], backbones: Mapping[str, str], *, stand_in: bool
    ) -> None:  # fmt: skip
        self._datasets = datasets
        self._backbones = backbones
        self.preface = ON_STAND_INS if stand_in else ""
        self._stand_in = stand_in

    def reproduced(self, entries: Sequence[Entry]) -> str:
        """Answers whether the published results are reproduced."""
        if self._stand_in:
            return (
                "Not assessed: this run uses stand-ins for the images or the backbones, so it can neither "
                "reproduce nor refute a published result. It shows that the workflow runs."
            )
        plain = [entry for entry in entries if entry["head"] == "plain"]
        checked = [entry for entry in plain if entry["verdict"] != OPEN]
        missing = [self._cell(entry) for entry in _of(plain, OPEN)]
        sentences = []
        if checked:
            within = _of(checked, WITHIN)
            verdict = "In part" if within else "No"
            if len(within) == len(checked):
                verdict = "Yes, as far as checked" if missing else "Yes"
            regenerated = f"{len(checked)} of {len(plain)} were regenerated here; " if missing else ""
            sentences.append(
                f"{verdict}: {regenerated}without attention, as the published code really ran, "
                f"{share_of(within, checked, 'lies', 'lie')} within the sampling error of both."
            )
        else:
            sentences.append("Open: no published accuracy was checked as the published code really ran.")
        if beyond := len(checked) - len(_of(checked, WITHIN)):
            left = sum(entry["verdict_holm"] != WITHIN for entry in checked)
            sentences.append(
                f"Beyond it {'lies' if beyond == 1 else 'lie'} {beyond}, or {left or 'none'} once the "
                f"{len(checked)} comparisons are adjusted together (Holm)."
            )
        for of_verdict, lead in ((BELOW, "Ours is lower for"), (ABOVE, "Ours is higher for")):
            named = [self._difference(entry) for entry in _of(checked, of_verdict)]
            if named:
                sentences.append(f"{lead} {'; '.join(named)}.")
        if missing:
            sentences.append(f"Not run here: {'; '.join(missing)}.")
        attended = [entry for entry in entries if entry["head"] == "attention" and entry["verdict"] != OPEN]
        if attended:
            sentences.append(
                "With attention connected, as the paper describes it, "
                f"{share_of(_of(attended, WITHIN), attended, 'lies', 'lie')} within sampling error."
            )
        return " ".join(sentences)

    def helps(self, entries: Sequence[Entry]) -> str:
        """Answers whether attention helps, first where nothing leaks."""
        parts = []
        for where, here in _by_split(entries):
            parts += [self._helps_on(where, here), _other_scores(here)]
        if not parts:
            return "Open: no network was measured with and without attention."
        return self.preface + " ".join(parts)

    def recipe_helps(self, recipe: str, gains: Sequence[Entry], attention: Sequence[Entry]) -> str:
        """Answers whether a recipe does better than the published one, and attention where both have it."""
        parts = []
        for where, here in _by_split(gains):
            parts += [self._helps_on(where, here), _other_scores(here)]
        how = _OF_RECIPE.get(recipe, f"by the recipe {recipe}")
        for where, here in _by_split(attention):
            place = "" if here[0]["split"] == "grouped" else f" {where[0].lower()}{where[1:]}"
            parts.append(self._helps_on(f"Attention against plain{place}, both {how}", here))
        return self.preface + " ".join(parts)

    def _helps_on(self, where: str, entries: Sequence[Entry]) -> str:
        helps, hurts = _of(entries, HELPS), _of(entries, HURTS)
        n = len(entries)
        if not helps and not hurts:
            low = 100 * min(entry["differences"]["accuracy"]["low"] for entry in entries)
            high = 100 * max(entry["differences"]["accuracy"]["high"] for entry in entries)
            return (
                f"{where}, not shown: 0 of {n} comparisons are significant (Holm-adjusted); the intervals of "
                f"the change in accuracy reach from {points(low)} to {points(high)} points."
            )
        if helps and hurts:
            verdict = "mixed"
        elif helps:
            verdict = "yes" if len(helps) == n else "in part"
        else:
            verdict = "no, it hurts" if len(hurts) == n else "no, in part it hurts"
        told = [
            f"{len(found)} {verb} ({'; '.join(self._change(entry) for entry in found)})"
            for verb, found in (("better", helps), ("worse", hurts))
            if found
        ]
        if undecided := n - len(helps) - len(hurts):
            told.append(f"{undecided} undecided")
        return f"{where}, {verdict}: of {n} comparisons (Holm-adjusted) {', '.join(told)}."

    def _cell(self, entry: Entry) -> str:
        dataset, backbone = entry["dataset"], entry["backbone"]
        return f"{self._backbones.get(backbone, backbone)} on {self._datasets.get(dataset, dataset)}"

    def _difference(self, entry: Entry) -> str:
        return (
            f"{self._cell(entry)} ({100 * entry['ours']['accuracy']:.1f} % against "
            f"{100 * entry['published']['accuracy']:.1f} %, {points(100 * entry['difference'])} points, "
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
    return f"By intervals of their own, of {len(entries)}: {told[0]}; {told[1]}."


def _rises(entries: Sequence[Entry], score: str) -> int:
    """In how many entries the whole interval of the change of a score lies above zero."""
    lows = (entry["differences"][score]["low"] for entry in entries)
    return sum(low is not None and low > 0 for low in lows)


def _falls(entries: Sequence[Entry], score: str) -> int:
    """In how many entries the whole interval of the change of a score lies below zero."""
    highs = (entry["differences"][score]["high"] for entry in entries)
    return sum(high is not None and high < 0 for high in highs)
