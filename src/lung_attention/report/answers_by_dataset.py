"""The answers that go through the datasets: what remains without known leakage, what equals networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lung_attention.evaluation.verdicts import BETTER, DROP, RISE, WORSE
from lung_attention.report.numbers import count, percent_range

Entry = Mapping[str, Any]

_UNEQUAL = 1.5
"""How many times as many images the largest class has as the smallest, where classes are called unequal."""

_OTHER_NUMBER = 0.05
"""How far a balanced accuracy lies from the accuracy where both are told."""

_RECOGNISED = 0.5
"""The sensitivity below which a class is said to be hardly recognised."""


def remains(entries: Sequence[Entry], titles: Mapping[str, str]) -> str:
    """Answers what remains of the accuracies without known leakage.

    Args:
        entries: Of `leakage`, by one recipe.
        titles: Names of datasets for people, by id.
    """
    networks = [entry for entry in entries if entry["kind"] == "network"]
    if not networks:
        return "Open: no network was measured on both splits."
    drops, rises = ([entry for entry in networks if entry["verdict"] == verdict] for verdict in (DROP, RISE))
    condition = "once no group of related images stands on two sides"
    if drops:
        lost = percent_range([entry["accuracy"]["difference"] for entry in drops])
        lead = (
            f"Less: {share_of(drops, networks, 'falls', 'fall')} beyond sampling error, by {lost} points, "
            f"{condition}."
        )
        if rises:
            lead += f" {share_of(rises, networks, 'rises', 'rise')}."
    elif rises:
        lead = f"More: {share_of(rises, networks, 'rises', 'rise')} beyond sampling error {condition}."
    else:
        lead = f"No loss shown: 0 of {len(networks)} accuracies fall beyond sampling error {condition}."
    datasets = dict.fromkeys(entry["dataset"] for entry in networks)
    return " ".join([lead, *(_remains_of(dataset, networks, titles) for dataset in datasets)])


def _remains_of(dataset: str, networks: Sequence[Entry], titles: Mapping[str, str]) -> str:
    """What remains on one dataset, and which class is hardly recognised there."""
    here = [entry for entry in networks if entry["dataset"] == dataset]
    accuracy = _becomes(here, "accuracy")
    shares = [of_class["share"] for of_class in here[0]["classes"].values()]
    if max(shares) >= _UNEQUAL * min(shares):
        scores = f"balanced accuracy {_becomes(here, 'balanced_accuracy')} (accuracy {accuracy})"
    else:
        scores = accuracy
    text = f"{titles.get(dataset, dataset)}: {scores}"
    if drop := _same_images(here):
        text += f", {drop}"
    shown = sum(entry["verdict"] == DROP for entry in here)
    if shown < len(here):
        text += f" (beyond sampling error: {shown} of {len(here)})"
    for name in here[0]["classes"]:
        found = [entry["classes"][name]["grouped"] for entry in here]
        if None not in found and max(found) < _RECOGNISED:
            text += f"; {name.replace('_', ' ')} is hardly recognised, {percent_range(found)} % of its images"
    return text + "."


def _becomes(entries: Sequence[Entry], score: str) -> str:
    before, after = (
        percent_range([entry[score][split] for entry in entries]) for split in ("published", "grouped")
    )
    return f"{before} % becomes {after} %"


def _same_images(entries: Sequence[Entry]) -> str:
    lost = [entry["same_images"]["accuracy"]["difference"] for entry in entries]
    if max(lost) <= 0:
        return ""
    return f"on the very same test images {percent_range(lost)} points less"


def sees_more(entries: Sequence[Entry], datasets: Mapping[str, str], baselines: Mapping[str, str]) -> str:
    """Answers whether networks see more than machines that cannot see disease, and what else equals them.

    Args:
        entries: Of `network_vs_baseline`, by one recipe.
        datasets: Names of datasets for people, by id.
        baselines: Names of baselines for people, by name.
    """
    if not entries:
        return "Open: no network was measured beside a baseline without known leakage."
    names = dict.fromkeys(entry["dataset"] for entry in entries)
    return " ".join(
        _on_dataset(
            [entry for entry in entries if entry["dataset"] == name], datasets.get(name, name), baselines
        )
        for name in names
    )


def _on_dataset(entries: Sequence[Entry], title: str, baselines: Mapping[str, str]) -> str:
    networks = {(entry["backbone"], entry["head"]): entry for entry in entries}
    of_baseline = {
        name: [entry for entry in entries if entry["baseline"] == name]
        for name in dict.fromkeys(entry["baseline"] for entry in entries)
    }
    blind = {name: found for name, found in of_baseline.items() if found[0]["blind"]}
    ours = _range_of(list(networks.values()))
    sentences = []
    if blind:
        unbeaten = {
            (entry["backbone"], entry["head"])
            for found in blind.values()
            for entry in found
            if entry["verdict"] != BETTER
        }
        best = max(blind, key=lambda name: _score(blind[name][0], "baseline"))
        better, n = len(networks) - len(unbeaten), len(networks)
        shown = "yes" if better == n else "in part" if better else "not shown"
        sentences.append(
            f"{title}: {shown}, {better} of {n} networks ({ours}) "
            f"{'is' if better == 1 else 'are'} better than all of them; the best, "
            f"{_named(best, blind[best][0], baselines)}."
        )
    equals = {
        name: found
        for name, found in of_baseline.items()
        if not found[0]["blind"] and all(entry["verdict"] != BETTER for entry in found)
    }
    if equals:
        told = []
        for name, found in sorted(equals.items(), key=lambda item: -_score(item[1][0], "baseline")):
            worse = sum(entry["verdict"] == WORSE for entry in found)
            beats = f", which beats {count(worse, 'network')}" if worse else ""
            told.append(_named(name, found[0], baselines) + beats)
        lead = "No network is better than" if blind else f"{title}: no network ({ours}) is better than"
        sentences.append(f"{lead}: {'; '.join(told)}.")
    elif not blind:
        sentences.append(f"{title}: the networks ({ours}) are better than each baseline in part.")
    return " ".join(sentences)


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


def _score(entry: Entry, who: str) -> float:
    return float(entry["differences"]["accuracy"][who])


def _named(name: str, entry: Entry, baselines: Mapping[str, str]) -> str:
    """Such as "histogram of all values 94.1 %"; with the balanced accuracy where that is another number."""
    accuracy = _score(entry, "baseline")
    balanced = entry["differences"]["balanced_accuracy"]["baseline"]
    text = f"{baselines.get(name, name.replace('_', ' '))} {100 * accuracy:.1f} %"
    if balanced is not None and abs(balanced - accuracy) > _OTHER_NUMBER:
        text += f" (balanced {100 * balanced:.1f} %)"
    return text


def share_of(part: Sequence[Entry], whole: Sequence[Entry], one: str, several: str) -> str:
    """Such as "1 of 4 accuracies lies"; the verb agrees with the share."""
    return f"{len(part)} of {len(whole)} accuracies {one if len(part) == 1 else several}"
