"""From figures to verdicts, and from verdicts to the answers that open a report.

Each verdict says what the numbers allow and no more: an interval of a difference that contains 0 is
no proof of equality, so its verdict is "within sampling error", "no clear change" or "undecided".
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from statsmodels.stats.proportion import proportion_confint

from lung_attention.data.catalog import DATASETS
from lung_attention.data.published import PublishedResult

WITHIN, ABOVE, BELOW, OPEN, STAND_IN = "within sampling error", "above", "below", "open", "stand-in"
DROP, RISE, UNCLEAR = "drop", "rise", "no clear change"
HELPS, HURTS, UNDECIDED = "helps", "hurts", "undecided"

Entry = Mapping[str, Any]


def reproduction(
    published: PublishedResult, accuracy: float, low: float, high: float, *, confidence: float
) -> dict[str, Any]:
    """Our accuracy against a published one.

    The published figure is a binomial on its own number of test images, with Wilson's interval; ours has the
    interval it was given. Both make the interval of the difference as in Newcombe (1998, method 10),
    generalised to any intervals by Zou and Donner (2008). The two test sets are taken as independent. Where
    they are the same images the true interval is shorter, so "within sampling error" is said a little too
    often. That trainings differ by their seed is not counted, so "above" and "below" may be said too often
    where ours is one training.

    Args:
        published: The published result.
        accuracy: Ours, 0..1.
        low: Lower bound of ours.
        high: Upper bound of ours.
        confidence: Of all intervals, such as 0.95.

    Returns:
        `difference` (ours − published, fractions of 1), `low`, `high` and `verdict`.
    """
    theirs = published.n_right / published.n_test
    their_low, their_high = published_interval(published, confidence=confidence)
    difference = accuracy - theirs
    bounds = (
        difference - math.hypot(accuracy - low, their_high - theirs),
        difference + math.hypot(high - accuracy, theirs - their_low),
    )
    verdict = ABOVE if bounds[0] > 0 else BELOW if bounds[1] < 0 else WITHIN
    return {"difference": difference, "low": bounds[0], "high": bounds[1], "verdict": verdict}


def published_interval(published: PublishedResult, *, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a published accuracy on its own test size."""
    low, high = proportion_confint(published.n_right, published.n_test, alpha=1 - confidence, method="wilson")
    return float(low), float(high)


def leakage_verdict(low: float | None, high: float | None) -> str:
    """Verdict on published minus grouped figure from the bounds of its interval."""
    if low is None or high is None:
        return UNCLEAR
    return DROP if low > 0 else RISE if high < 0 else UNCLEAR


def change_verdict(difference: float, p_adjusted: float, *, confidence: float) -> str:
    """Verdict on a difference, such as attention minus plain accuracy, from its Holm-adjusted p value."""
    if p_adjusted >= 1 - confidence or difference == 0:
        return UNDECIDED
    return HELPS if difference > 0 else HURTS


def headline(
    attention: Sequence[Entry],
    leakage: Sequence[Entry],
    reproductions: Sequence[Entry],
    *,
    tuned: Sequence[Entry] = (),
    tuned_attention: Sequence[Entry] = (),
    stand_in: bool,
    titles: Mapping[str, str],
) -> list[dict[str, str]]:
    """The report's first screen, in plain words.

    Args:
        attention: Entries of `attention_vs_plain` (schemas in `comparisons`).
        leakage: Entries of `leakage`.
        reproductions: Entries of `reproduction`.
        tuned: Entries of `tuned`.
        tuned_attention: Entries of `attention_vs_plain_tuned`.
        stand_in: Whether images or backbones are stand-ins, so that no figure means anything for the paper.
        titles: Backbone ids to their names for people; an id without a name stands as it is.

    Returns:
        Three pairs of `question` and `answer`, a fourth where there are tuned cells.
    """
    words = _Words(titles, stand_in)
    answers = [
        {"question": "Are the published figures reproduced?", "answer": words.reproduced(reproductions)},
        {"question": "What remains without leakage?", "answer": words.remains(leakage)},
        {"question": "Does attention help?", "answer": words.helps(attention)},
    ]
    if tuned:
        question = "Do settings found by a search help?"
        answers.append({"question": question, "answer": words.tuning_helps(tuned, tuned_attention)})
    return answers


class _Words:
    """Sentences about one profile's verdicts."""

    def __init__(self, titles: Mapping[str, str], stand_in: bool) -> None:
        self._titles = titles
        self._preface = "(On stand-ins, so this says nothing about the disease.) " if stand_in else ""
        self._stand_in = stand_in

    def reproduced(self, entries: Sequence[Entry]) -> str:
        """Answers whether the published figures are reproduced."""
        if self._stand_in:
            return (
                "Not assessed: this run uses stand-ins for the images or the backbones, so it can neither "
                "reproduce nor refute a published figure. It shows that the workflow runs."
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
            sentences.append(
                f"{verdict}: without attention, as the published code really ran, "
                f"{_share(within, checked, 'lies', 'lie')} within the sampling error of both figures."
            )
        else:
            sentences.append("Open: no published accuracy was checked as the published code really ran.")
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
                f"{_share(_of(attended, WITHIN), attended, 'lies', 'lie')} within sampling error."
            )
        return " ".join(sentences)

    def remains(self, entries: Sequence[Entry]) -> str:
        """Answers what remains of the accuracies without leakage."""
        networks = [entry for entry in entries if entry["kind"] == "network"]
        if not networks:
            return "Open: no network was measured on both splits."
        drops, rises = _of(networks, DROP), _of(networks, RISE)
        condition = "once no group of related images stands on two sides"
        if drops:
            lost = _range([100 * entry["accuracy"]["difference"] for entry in drops])
            lead = (
                f"Less: {_share(drops, networks, 'falls', 'fall')} beyond sampling error, by {lost} points, "
                f"{condition}."
            )
            if rises:
                lead += f" {_share(rises, networks, 'rises', 'rise')}."
        elif rises:
            lead = f"More: {_share(rises, networks, 'rises', 'rise')} beyond sampling error {condition}."
        else:
            lead = f"No loss shown: 0 of {len(networks)} accuracies fall beyond sampling error {condition}."
        datasets = dict.fromkeys(entry["dataset"] for entry in networks)
        return " ".join([self._preface + lead, *(self._dataset(dataset, entries) for dataset in datasets)])

    def _dataset(self, dataset: str, entries: Sequence[Entry]) -> str:
        """What remains on one dataset, and of the baseline that does best without leakage."""
        here = [entry for entry in entries if entry["dataset"] == dataset]
        networks = [entry["accuracy"] for entry in here if entry["kind"] == "network"]
        before, after = ([100 * entry[split] for entry in networks] for split in ("published", "grouped"))
        sentence = f"{DATASETS[dataset].title}: {_range(before)} % becomes {_range(after)} %"
        baselines = [entry for entry in here if entry["kind"] == "baseline"]
        if baselines:
            best = max(baselines, key=lambda entry: entry["accuracy"]["grouped"])
            sentence += (
                f" (the best trivial baseline without leakage, {best['baseline'].replace('_', ' ')}: "
                f"{100 * best['accuracy']['published']:.1f} % becomes "
                f"{100 * best['accuracy']['grouped']:.1f} %)"
            )
        return sentence + "."

    def helps(self, entries: Sequence[Entry]) -> str:
        """Answers whether attention helps, first where nothing leaks."""
        parts = [
            self._helps_on(where, of_split)
            for split, where in (("grouped", "Without leakage"), ("published", "On the published split"))
            if (of_split := [entry for entry in entries if entry["split"] == split])
        ]
        if not parts:
            return "Open: no network was measured with and without attention."
        return self._preface + " ".join(parts)

    def tuning_helps(self, tuned: Sequence[Entry], attention: Sequence[Entry]) -> str:
        """Answers whether found settings help, and attention where both heads have them."""
        parts = [
            self._helps_on("Without leakage", tuned),
            f"The cross-entropy, by which a search chooses, falls beyond sampling error in "
            f"{_falls(tuned, 'log_loss')} of {len(tuned)}, the AUROC in {_falls(tuned, 'auroc_ovr')}.",
        ]
        if attention:
            parts.append(self._helps_on("Attention against plain, both with found settings", attention))
        return self._preface + " ".join(parts)

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
        backbone = self._titles.get(entry["backbone"], entry["backbone"])
        return f"{backbone} on {DATASETS[entry['dataset']].title}"

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


def _of(entries: Sequence[Entry], verdict: str) -> list[Entry]:
    return [entry for entry in entries if entry["verdict"] == verdict]


def _share(part: Sequence[Entry], whole: Sequence[Entry], one: str, several: str) -> str:
    """Such as "1 of 4 accuracies lies"; the verb agrees with the share."""
    return f"{len(part)} of {len(whole)} accuracies {one if len(part) == 1 else several}"


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low} to {high}"


def _falls(entries: Sequence[Entry], score: str) -> int:
    """In how many entries the whole interval of the change of a score lies below zero."""
    highs = (entry["differences"][score]["high"] for entry in entries)
    return sum(high is not None and high < 0 for high in highs)
