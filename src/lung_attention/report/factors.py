"""The sections on what the published experiment left open: leakage and attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.plots.style import words
from lung_attention.report.blocks import Block, Details, Missing, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.numbers import (
    DASH,
    change,
    decimal,
    p_value,
    percent,
    percent_interval,
    points,
)

_TESTS = {
    "mcnemar": "McNemar's exact test over images (the exact sign test where there are several seeds)",
    "sign_flip": "sign-flip permutation over groups",
}
_DESIGN_SCORES = ("accuracy", "balanced_accuracy", "auroc_ovr")


def best_baselines(results: Results, dataset: str, split: str) -> dict[str, float]:
    """The highest accuracy of the baselines that are `blind` (see nothing of the disease), and `seeing`."""
    scores = list(results.baselines.get((dataset, split), {}).values())
    kinds = {"blind": True, "seeing": False}
    best = {
        kind: max((of["accuracy"] for of in scores if of["blind"] == blind), default=None)
        for kind, blind in kinds.items()
    }
    return {kind: float(value) for kind, value in best.items() if value is not None}


def two_by_two(results: Results) -> Section:
    """Head by split for each dataset and backbone, the trivial baselines beside them."""
    blocks: list[Block] = [
        Text(
            "Two things are changed, one at a time: the head (plain or with attention) and the split. On the "
            "published split images were assigned one by one; on the grouped one all images of a group stay "
            "together, and every image is tested once by a model that was not trained on its group. All else "
            f"is the same recipe, but for the number of training images: {_training_shares(results)}. "
            "Where classes are unequal, the balanced accuracy tells more than the accuracy."
        )
    ]
    splits = results.config.splits
    columns = ["", *(f"{split}: {what}" for split in splits for what in ("accuracy", "balanced", "AUROC"))]
    for dataset in results.config.datasets:
        rows = [
            [f"{results.title(backbone)}, {head}", *_design_cells(results, dataset, backbone, head)]
            for backbone in results.config.backbones
            for head in results.config.heads
        ]
        rows += [
            [f"baseline: {title}", *_baseline_cells(results, dataset, name)]
            for name, title in results.baseline_titles(dataset).items()
        ]
        title = results.dataset(dataset).title
        blocks.append(
            Table(
                f"{title} (group: {results.dataset(dataset).unit})", columns, "l" + "rrr" * len(splits), rows
            )
        )
    return Section("design", "Two heads, two splits", blocks)  # fmt: skip


def _training_shares(results: Results) -> str:
    """What part of the images a model is trained on, on both splits."""
    folds = results.config.active.split.folds
    grouped = f"{100 * (folds - 1) / folds:.0f} % on the grouped one ({folds} folds)"
    sizes = [result.split_sizes for result in results.published.results]
    if not sizes:
        return grouped
    shares = sorted(100 * of_split["train"] / sum(of_split.values()) for of_split in sizes)
    return f"{shares[0]:.0f} to {shares[-1]:.0f} % of all images on the published split, {grouped}"


def _design_cells(results: Results, dataset: str, backbone: str, head: str) -> list[str]:
    texts = []
    for split in results.config.splits:
        cell = results.metrics.get(Cell(dataset, backbone, head, PUBLISHED, split))
        texts += _scores(cell, "no result yet")
    return texts


def _baseline_cells(results: Results, dataset: str, name: str) -> list[str]:
    texts = []
    for split in results.config.splits:
        scores = results.baselines.get((dataset, split), {}).get(name)
        texts += _scores(scores, "no result yet")
    return texts


def _scores(values: Mapping[str, Any] | None, absent: str) -> list[str]:
    if values is None:
        return [absent, DASH, DASH]
    accuracy, balanced, auroc = _DESIGN_SCORES
    return [
        percent_interval(values, accuracy),
        percent(values.get(balanced)),
        decimal(values.get(auroc)),
    ]


def leakage(results: Results) -> Section:
    """Published minus grouped score, for networks and baselines."""
    title = "Optimism due to leakage"
    entries = _entries(results, "leakage")
    if entries is None:
        return Section("leakage", title, [_no_comparisons(results)])
    accuracies: list[list[str]] = []
    others: list[list[str]] = []
    for dataset in results.config.datasets:
        here = [
            entry for entry in entries if entry["dataset"] == dataset and entry["recipe"] in (PUBLISHED, None)
        ]
        for number, entry in enumerate(here):
            name = ["" if number else results.dataset(dataset).title, _who(results, entry)]
            scores = [percent(entry["accuracy"]["published"]), percent(entry["accuracy"]["grouped"])]
            same = points(entry["same_images"]["accuracy"])
            accuracies.append([*name, *scores, points(entry["accuracy"]), same, entry["verdict"]])
            others.append(
                [*name, *(change(entry[score]) for score in ("balanced_accuracy", "mcc", "auroc_ovr"))]
            )
    if not accuracies:
        return Section("leakage", title, [Missing("Nothing was measured on both splits yet.")])
    blocks: list[Block] = [
        Text(
            "The score on the published split minus that on the grouped one. Both splits are resampled "
            "together, as they share images. The protocols differ in the images tested, too; so the last "
            "difference is on the published test images alone, each predicted on the grouped split by the "
            "fold that had not seen its group. A baseline that falls as much as the networks do shows how "
            "much of their score was recognising images again."
        ),
        Table(
            "Accuracy, published minus grouped, in percentage points",
            (
                "dataset",
                "classifier",
                "published split",
                "grouped split",
                "difference",
                "same images",
                "verdict",
            ),
            "llrrrrl",
            accuracies,
        ),
        Details(
            "The same for other scores",
            [
                Table(
                    "Published minus grouped",
                    ("dataset", "classifier", "balanced accuracy", "MCC", "AUROC, one vs rest"),
                    "llrrr",
                    others,
                )
            ],
        ),
    ]
    return Section("leakage", title, blocks)


def _who(results: Results, entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "baseline":
        titles = results.baseline_titles(entry["dataset"])
        return f"baseline: {titles.get(entry['baseline'], words(entry['baseline']))}"
    return f"{results.title(entry['backbone'])}, {entry['head']}"


def attention(results: Results) -> Section:
    """Attention against plain, paired on the same images."""
    title = "Attention against plain"
    found = _entries(results, "attention_vs_plain")
    if found is None:
        return Section("attention", title, [_no_comparisons(results)])
    entries = [entry for entry in found if entry["recipe"] == PUBLISHED]
    accuracies: list[list[str]] = []
    others: list[list[str]] = []
    for entry in entries:
        name = [
            f"{results.dataset(entry['dataset']).title}, {results.title(entry['backbone'])}",
            entry["split"],
        ]
        differences = entry["differences"]
        accuracies.append(
            [
                *name,
                f"{entry['attention_better']:,} : {entry['plain_better']:,}",
                points(differences["accuracy"]),
                p_value(entry["p_value"]),
                p_value(entry["p_holm"]),
                entry["verdict"],
            ]
        )
        scores = ("balanced_accuracy", "mcc", "auroc_ovr", "log_loss")
        others.append([*name, *(change(differences[score]) for score in scores)])
    if not accuracies:
        text = "No dataset and backbone was measured with both heads yet."
        return Section("attention", title, [Missing(text)])
    tests = [f"{_TESTS[entry['test']]} on the {entry['split']} split" for entry in entries]
    blocks: list[Block] = [
        Text(
            "Both heads on the same test images, attention minus plain, in percentage points. The third "
            "column counts where each is better: images on the published split, groups on the grouped one. "
            f"Tests: {'; '.join(dict.fromkeys(tests))}. The p values of one split are adjusted together by "
            "Holm's method; the verdict follows from the adjusted one. Undecided is no proof that both are "
            "equal."
        ),
        Table(
            "Accuracy, attention minus plain",
            (
                "dataset, backbone", "split", "attention : plain", "difference", "p", "p, Holm", "verdict",
            ),
            "llrrrrl",
            accuracies,
        ),
        Details(
            "The same for other scores (a negative difference of the loss is an improvement)",
            [
                Table(
                    "Attention minus plain",
                    (
                        "dataset, backbone", "split", "balanced accuracy", "MCC", "AUROC, one vs rest",
                        "loss",
                    ),
                    "llrrrr",
                    others,
                )
            ],
        ),
    ]  # fmt: skip
    return Section("attention", title, blocks)


def _entries(results: Results, key: str) -> Sequence[Mapping[str, Any]] | None:
    """Entries of comparisons.json on the datasets of the design; None where there is no such file."""
    if results.comparisons is None:
        return None
    entries: Sequence[Mapping[str, Any]] = results.comparisons[key]
    return [entry for entry in entries if entry["dataset"] in results.config.datasets]


def _no_comparisons(results: Results) -> Missing:
    return Missing("The comparisons of this profile are not there, so nothing can be said here yet.")
