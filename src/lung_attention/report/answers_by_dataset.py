"""The answers that go through the datasets: what remains without known leakage, what equals networks.

Each is given as its verdict, its main numbers in a sentence, and a table with a row for each dataset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lung_attention.evaluation.verdicts import BETTER, DROP, RISE, WORSE
from lung_attention.plots.style import words
from lung_attention.report.blocks import Block, Table
from lung_attention.report.numbers import DASH, count, listed, percent_range

Entry = Mapping[str, Any]
Told = tuple[str, str, Sequence[Block]]

COMBINED = "together_"
"""How the names of baselines begin that see what others see, at once."""

_UNEQUAL = 1.5
"""How many times as many images the largest class has as the smallest, where classes are called unequal."""

_OTHER_NUMBER = 0.05
"""How far a balanced accuracy lies from the accuracy where both are told."""

_RECOGNISED = 0.5
"""The sensitivity below which a class is said to be hardly recognised."""


def remains(entries: Sequence[Entry], titles: Mapping[str, str]) -> Told:
    """Answers what remains of the accuracies without known leakage.

    Args:
        entries: Of `leakage`, by one recipe.
        titles: Names of datasets for people, by id.
    """
    networks = [entry for entry in entries if entry["kind"] == "network"]
    if not networks:
        return "Open", "No network was measured on both splits.", []
    drops, rises = ([entry for entry in networks if entry["verdict"] == verdict] for verdict in (DROP, RISE))
    lead = f"{share_of(drops, networks, 'falls', 'fall')} beyond sampling error"
    if drops:
        lost = percent_range([entry["accuracy"]["difference"] for entry in drops])
        lead += f", by {lost} points of accuracy"
    if rises:
        lead += f"; {share_of(rises, networks, 'rises', 'rise')}"
    verdict = "Less" if drops else "More" if rises else "No loss shown"
    by_dataset = {
        titles.get(name, name): [entry for entry in networks if entry["dataset"] == name]
        for name in dict.fromkeys(entry["dataset"] for entry in networks)
    }
    told = "; ".join(
        f"{title} {_becomes(here)}{'' if any(one in drops + rises for one in here) else ', not shown'}"
        for title, here in by_dataset.items()
    )
    columns = ("dataset", "score", "published split, %", "no known leakage, %", "same images, points less",
               "beyond sampling error", "hardly recognised")  # fmt: skip
    caption = "Networks, published recipe, once no group of related images stands on two sides"
    rows = [row for title, here in by_dataset.items() for row in _remaining(title, here)]
    return verdict, f"{lead}: {told}.", [Table(caption, columns, "llrrrrl", rows)]


def _becomes(entries: Sequence[Entry]) -> str:
    """Such as "98.5 to 100.0 % becomes 66.1 to 67.3 % (balanced)"."""
    unequal = _unequal(entries)
    before, after = (_range_on(entries, "balanced_accuracy" if unequal else "accuracy", split)
                     for split in ("published", "grouped"))  # fmt: skip
    return f"{before} % becomes {after} %{' (balanced)' if unequal else ''}"


def _unequal(entries: Sequence[Entry]) -> bool:
    shares = [of_class["share"] for of_class in entries[0]["classes"].values()]
    return bool(max(shares) >= _UNEQUAL * min(shares))


def _range_on(entries: Sequence[Entry], score: str, split: str) -> str:
    return percent_range([entry[score][split] for entry in entries])


def _remaining(title: str, entries: Sequence[Entry]) -> list[list[str]]:
    """The rows of one dataset: the accuracy, and the balanced one where classes are unequal."""
    scores = {"accuracy": "accuracy"}
    if _unequal(entries):
        scores = {"balanced_accuracy": "balanced accuracy", **scores}
    lost = [entry["same_images"]["accuracy"]["difference"] for entry in entries]
    shown = sum(entry["verdict"] == DROP for entry in entries)
    unseen = []
    for name in entries[0]["classes"]:
        found = [entry["classes"][name]["grouped"] for entry in entries]
        if None not in found and max(found) < _RECOGNISED:
            unseen.append(f"{words(name)}, {percent_range(found)} % of its images")
    return [
        [
            "" if number else title,
            name,
            *(_range_on(entries, score, split) for split in ("published", "grouped")),
            *(
                (percent_range(lost), f"{shown} of {len(entries)}", "; ".join(unseen))
                if score == "accuracy"
                else ("", "", "")
            ),
        ]
        for number, (score, name) in enumerate(scores.items())
    ]


def sees_more(entries: Sequence[Entry], datasets: Mapping[str, str], baselines: Mapping[str, str]) -> Told:
    """Answers whether networks see more than machines that cannot see disease, and what else equals them.

    Args:
        entries: Of `network_vs_baseline`, by one recipe.
        datasets: Names of datasets for people, by id.
        baselines: Names of baselines for people, by name.
    """
    if not entries:
        return "Open", "No network was measured beside a baseline without known leakage.", []
    found = [
        _Beside(datasets.get(name, name), [entry for entry in entries if entry["dataset"] == name], baselines)
        for name in dict.fromkeys(entry["dataset"] for entry in entries)
    ]
    judged = [one for one in found if one.blind]
    better = [one.title for one in judged if one.better == one.networks]
    if not judged:
        verdict = "Open"
    elif len(better) == len(judged):
        verdict = "Yes" if len(judged) == 1 else f"Yes, on each of {len(judged)} datasets"
    elif any(one.better for one in judged):
        verdict = f"On {len(better)} of {len(judged)} datasets" if better else "In part"
    else:
        verdict = "Not shown"
    parts = []
    equal = [one.against(one.best_blind) for one in judged if one.better < one.networks]
    if equal:
        parts.append(f"Not all are better, beyond sampling error, than what is blind: {'; '.join(equal)}.")
    rivals = [one.against(rival) for one in found if (rival := one.strongest)]
    if rivals:
        parts.append(f"No network is better than: {'; '.join(rivals)}.")
    if not parts:
        parts.append(f"All are better than each blind baseline on {listed(better)}.")
    columns = ("dataset", "networks", "better than all blind ones", "best blind baseline",
               "no network is better than")  # fmt: skip
    caption = "Accuracies without known leakage; a blind baseline sees nothing of the disease"
    return verdict, " ".join(parts), [Table(caption, columns, "llrll", [one.row() for one in found])]


class _Beside:
    """The networks of one dataset beside its baselines."""

    def __init__(self, title: str, entries: Sequence[Entry], titles: Mapping[str, str]) -> None:
        self.title = title
        self._titles = titles
        networks = {(entry["backbone"], entry["head"]): entry for entry in entries}
        of_baseline: dict[str, list[Entry]] = {
            name: [entry for entry in entries if entry["baseline"] == name]
            for name in dict.fromkeys(entry["baseline"] for entry in entries)
        }
        self._all = of_baseline
        self.blind = {name: found for name, found in of_baseline.items() if found[0]["blind"]}
        unbeaten = {
            (entry["backbone"], entry["head"])
            for found in self.blind.values()
            for entry in found
            if entry["verdict"] != BETTER
        }
        self.networks = len(networks)
        self.better = len(networks) - len(unbeaten)
        self.ours = _range_of(list(networks.values()))
        equals = {
            name: found
            for name, found in of_baseline.items()
            if not found[0]["blind"] and all(entry["verdict"] != BETTER for entry in found)
        }
        self._equals = dict(sorted(equals.items(), key=lambda item: -_score(item[1][0])))

    @property
    def best_blind(self) -> str:
        """The blind baseline of the highest accuracy."""
        scores = {name: _score(found[0]) for name, found in self.blind.items()}
        return max(scores, key=lambda name: scores[name])

    @property
    def strongest(self) -> str | None:
        """The baseline that beats most networks, of these the best; one that sees a single thing."""
        single = {name: found for name, found in self._equals.items() if not name.startswith(COMBINED)}
        return max(single, key=lambda one: (_beaten(single[one]), _score(single[one][0])), default=None)

    def against(self, name: str) -> str:
        """Such as "diameter mm alone on LIDC-IDRI, 88.1 % against 59.0 to 64.1 % (beats 4 of 4 networks)"."""
        found = self._all[name]
        beaten = _beaten(found)
        better = f" (beats {beaten} of {self.networks} networks)" if beaten else ""
        accuracies = percent_range([entry["differences"]["accuracy"]["network"] for entry in found])
        scores = f"{100 * _score(found[0]):.1f} % against {accuracies} %"
        return f"{self._titles.get(name, words(name))} on {self.title}, {scores}{better}"

    def row(self) -> list[str]:
        """All of it, for the table."""
        blind = f"{self.better} of {self.networks}" if self.blind else DASH
        best = self._named(self.best_blind, self.blind[self.best_blind][0]) if self.blind else DASH
        return [self.title, self.ours, blind, best, "; ".join(map(self._told, self._equals)) or DASH]

    def _told(self, name: str) -> str:
        beaten = _beaten(self._equals[name])
        text = self._named(name, self._equals[name][0])
        return f"{text}, which beats {count(beaten, 'network')}" if beaten else text

    def _named(self, name: str, entry: Entry) -> str:
        """Such as "histogram of all values 94.1 %"; with the balanced accuracy where that is another."""
        accuracy = _score(entry)
        balanced = entry["differences"]["balanced_accuracy"]["baseline"]
        text = f"{self._titles.get(name, words(name))} {100 * accuracy:.1f} %"
        if balanced is not None and abs(balanced - accuracy) > _OTHER_NUMBER:
            text += f" (balanced {100 * balanced:.1f} %)"
        return text


def _range_of(networks: Sequence[Entry]) -> str:
    """Accuracies of networks, with their balanced ones where those are other numbers."""
    accuracies, balanced = (
        [entry["differences"][score]["network"] for entry in networks]
        for score in ("accuracy", "balanced_accuracy")
    )
    text = f"{percent_range(accuracies)} %"
    if None not in balanced and abs(max(balanced) - max(accuracies)) > _OTHER_NUMBER:
        text += f", balanced {percent_range(balanced)} %"
    return text


def _score(entry: Entry) -> float:
    return float(entry["differences"]["accuracy"]["baseline"])


def _beaten(entries: Sequence[Entry]) -> int:
    return sum(entry["verdict"] == WORSE for entry in entries)


def share_of(part: Sequence[Entry], whole: Sequence[Entry], one: str, several: str) -> str:
    """Such as "1 of 4 accuracies lies"; the verb agrees with the share."""
    return f"{len(part)} of {len(whole)} accuracies {one if len(part) == 1 else several}"
