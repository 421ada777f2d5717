"""The sections on what equals the networks: simple classifiers; other groups and other partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lung_attention.cells import PUBLISHED
from lung_attention.evaluation.verdicts import BETTER, UNDECIDED, WORSE
from lung_attention.report.blocks import Block, Missing, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.numbers import (
    DASH,
    decimal,
    decimal_interval,
    p_value,
    percent_interval,
    percent_range,
    signed,
)

_GROUPED = "grouped"


def baselines_section(results: Results) -> Section:
    """Each baseline on the grouped split, and how many networks are better than it."""
    title = "Networks against simple classifiers"
    if results.comparisons is None:
        return Section("baselines", title, [Missing("The comparisons of this profile are not there yet.")])
    entries = [entry for entry in results.comparisons["network_vs_baseline"] if entry["recipe"] == PUBLISHED]
    blocks: list[Block] = [
        Text(
            "On the grouped split, where no known leakage flatters either. A **blind** baseline sees "
            "nothing of the disease: the most frequent class, the size of the image and, where they lie "
            "outside the body or tissue, the outermost pixels and the background. The others see the "
            "image and learn next to nothing of it, or know a number that the dataset gives for it. What "
            "they choose (bins, penalty), they choose by inner folds of the training groups. The last "
            "column counts the networks of the published recipe that are better than the baseline, not "
            "told apart from it, or worse: by "
            f"sign-flip over groups, with Holm's adjustment over all {len(entries)} comparisons."
        )
    ]
    for dataset in results.config.datasets:
        scores = results.baselines.get((dataset, _GROUPED))
        if scores is None:
            blocks.append(Missing(f"{results.dataset(dataset).title}: no baseline was measured yet."))
            continue
        rows = [
            [
                of["title"],
                "yes" if of["blind"] else "",
                percent_interval(of, "accuracy"),
                percent_interval(of, "balanced_accuracy"),
                decimal_interval(of, "auroc_ovr"),
                decimal(of["log_loss"]),
                _networks([e for e in entries if (e["dataset"], e["baseline"]) == (dataset, name)]),
            ]
            for name, of in scores.items()
        ]
        columns = (
            "baseline",
            "blind",
            "accuracy",
            "balanced",
            "AUROC",
            "log loss",
            "better : undecided : worse",
        )
        blocks.append(Table(results.dataset(dataset).title, columns, "llrrrrr", rows))
    return Section("baselines", title, blocks)


def _networks(entries: Sequence[Mapping[str, Any]]) -> str:
    """Such as "3 : 1 : 0, p ≤ 0.012": networks better, not told apart and worse."""
    if not entries:
        return DASH
    counts = [sum(entry["verdict"] == verdict for entry in entries) for verdict in (BETTER, UNDECIDED, WORSE)]
    least = p_value(max(entry["p_holm"] for entry in entries)) if counts[0] == len(entries) else ""
    return " : ".join(map(str, counts)) + (
        f" (p {'' if least.startswith('<') else '≤ '}{least})" if least else ""
    )


def sensitivity_section(results: Results) -> Section:
    """What the way to find groups and the partition do to scores that cost seconds."""
    title = "How much hangs on the groups and on the partition"
    blocks: list[Block] = [
        Text(
            "Groups that nobody knows are inferred, and a partition into folds is drawn by chance. So "
            "classifiers that take seconds are measured anew for each way to find the groups and for several "
            "partitions of each, with fixed settings; a range is that over the partitions. The effective "
            "number of groups is that of equal groups that tell as much (Kish)."
        )
    ]
    for dataset in results.config.datasets:
        found = results.sensitivity.get(dataset)
        if found is None:
            blocks.append(Missing(f"{results.dataset(dataset).title}: not measured yet."))
            continue
        rows = []
        for name, of in found["groupings"].items():
            about = [f"{name.replace('_', ' ')}: {of['unit']}", f"{of['groups']:,} ({of['effective']:.0f})"]
            if of["problem"] is not None:
                rows.append([*about, f"no such folds: {of['problem']}", DASH, DASH, DASH])
            for number, (baseline, scores) in enumerate(of["scores"].items()):
                rows.append(
                    [
                        *(["", ""] if number else about),
                        _title(results, dataset, baseline),
                        _range(scores["accuracy"]),
                        _range(scores["balanced_accuracy"]),
                        _decimals(scores["auroc_ovr"]),
                    ]
                )
        columns = ("groups", "number (effective)", "classifier", "accuracy, %", "balanced, %", "AUROC")
        partitions = max(
            (len(s["accuracy"]) for g in found["groupings"].values() for s in g["scores"].values()), default=0
        )
        caption = f"{results.dataset(dataset).title}, {partitions} partitions into {found['folds']} folds"
        blocks.append(Table(caption, columns, "lrlrrr", rows))
    return Section("sensitivity", title, blocks)


def _title(results: Results, dataset: str, baseline: str) -> str:
    of = results.baselines.get((dataset, _GROUPED), {}).get(baseline)
    return baseline.replace("_", " ") if of is None else str(of["title"])


def _range(values: Sequence[float | None]) -> str:
    defined = [value for value in values if value is not None]
    return percent_range(defined) if defined else DASH


def _decimals(values: Sequence[float | None]) -> str:
    defined = [value for value in values if value is not None]
    if not defined:
        return DASH
    low, high = signed(f"{min(defined):.3f}"), signed(f"{max(defined):.3f}")
    return low if low == high else f"{low} to {high}"
