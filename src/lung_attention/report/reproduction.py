"""The sections that set our figures beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lung_attention.cells import Cell
from lung_attention.data.catalog import DATASETS
from lung_attention.evaluation.verdicts import published_interval
from lung_attention.plots.confusion import confusion_matrix, count_text
from lung_attention.plots.style import new_figure, words
from lung_attention.published import PublishedResult
from lung_attention.report.blocks import Block, Gallery, Missing, Picture, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.embed import svg_uri, width_px
from lung_attention.report.numbers import (
    DASH,
    decimal,
    decimal_interval,
    listed,
    percent,
    percent_interval,
    points,
    signed,
)

_NOT_RUN = "not run"


def six_results(results: Results) -> Section:
    """The published figures and ours on the published split, for both heads, with verdicts."""
    rows = [row for result in results.published.results for row in _result_rows(results, result)]
    blocks: list[Block] = [
        Text(
            "Accuracy, test loss (cross-entropy) and AUROC on the published split, with the interval in "
            f"brackets ({_confidence(results)}). The published code computed its attention and then did not "
            "use it, so its figures are those of the plain head; the attention head is the method as the "
            "paper describes it. A published accuracy is taken as a binomial on its own number of test "
            "images. The difference is ours minus theirs, in percentage points."
        ),
        Table(
            "The six published results and ours",
            (
                "dataset, backbone", "figure of", "test images", "accuracy", "difference", "verdict", "loss",
                "AUROC, one vs rest", "AUROC, one vs one",
            ),
            "llrrrlrrr",
            rows,
        ),
    ]  # fmt: skip
    blocks += _open_rows(results)
    return Section("six", "The six published results, and ours", blocks)


def _confidence(results: Results) -> str:
    return f"{100 * results.config.active.evaluate.confidence:g} %"


def _result_rows(results: Results, result: PublishedResult) -> list[list[str]]:
    low, high = published_interval(result, confidence=results.config.active.evaluate.confidence)
    accuracy = result.n_right / result.n_test
    theirs = {"accuracy": accuracy, "accuracy_low": low, "accuracy_high": high}
    name = f"{DATASETS[result.dataset].title}, {result.backbone_title}"
    rows = [
        [
            name, "**published**", str(result.n_test), percent_interval(theirs, "accuracy"), "", "",
            decimal(result.test_loss), decimal(result.auroc_ovr), decimal(result.auroc_ovo),
        ]
    ]  # fmt: skip
    for head in results.config.heads:
        ours = results.metrics.get(Cell(result.dataset, result.backbone, head, "published"))
        entry = _entry(results, result, head)
        if ours is None:
            rows.append(["", f"ours, {head}", DASH, DASH, DASH, _verdict(entry), DASH, DASH, DASH])
            continue
        rows.append(
            [
                "",
                f"ours, {head}",
                str(ours["n_test"]),
                percent_interval(ours, "accuracy"),
                DASH if entry is None else points(entry),
                _verdict(entry),
                decimal_interval(ours, "log_loss"),
                decimal_interval(ours, "auroc_ovr"),
                decimal_interval(ours, "auroc_ovo"),
            ]
        )
    return rows


def _entry(results: Results, result: PublishedResult, head: str) -> Mapping[str, Any] | None:
    entries: Sequence[Mapping[str, Any]] = (results.comparisons or {}).get("reproduction", [])
    key = (result.dataset, result.backbone, head)
    for entry in entries:
        if (entry["dataset"], entry["backbone"], entry["head"]) == key:
            return entry
    return None


def _verdict(entry: Mapping[str, Any] | None) -> str:
    return "not compared yet" if entry is None else f"**{entry['verdict']}**"


def _open_rows(results: Results) -> list[Block]:
    """Says which published rows nobody can fill here, and what does not fill them."""
    open_rows = [
        f"{DATASETS[result.dataset].title} with {result.backbone_title}"
        for result in results.published.results
        if result.dataset not in results.config.datasets or result.backbone not in results.config.backbones
    ]
    blocks: list[Block] = []
    if open_rows:
        blocks.append(
            Text(f"Open, as they are not part of the design of this run: {listed(open_rows)}. No figure of "
                 "another task stands in for them.")
        )  # fmt: skip
    if "lidc_nodules" in results.config.datasets:
        blocks.append(
            Text(
                "`lidc_nodules` is another task on images of the same collection: crops of single nodules, "
                "rated benign or malignant by radiologists, instead of the paper's whole slices. Its figures "
                "stand in the tables further down and are compared with no published one."
            )
        )
    return blocks


def confusion_section(results: Results) -> Section:
    """Published confusion matrices beside ours, with the right class names."""
    blocks: list[Block] = [
        Text(
            "On the published split; rows are true classes. Ours are means over seeds, so counts need not be "
            "whole. Colour is the share of the true class. Where the published notebooks printed wrong class "
            "names (IQ-OTH/NCCD and LIDC-IDRI), the right ones stand here."
        )
    ]
    for result in results.published.results:
        blocks += _confusion(results, result)
    return Section("confusion", "Confusion matrices", blocks)


def _confusion(results: Results, result: PublishedResult) -> list[Block]:
    name = f"{DATASETS[result.dataset].title}, {result.backbone_title}"
    matrices: dict[str, Sequence[Sequence[float]]] = {"published": result.confusion_matrix}
    absent = []
    for head in results.config.heads:
        ours = results.metrics.get(Cell(result.dataset, result.backbone, head, "published"))
        if ours is None:
            absent.append(head)
        else:
            matrices[f"ours, {head}"] = ours["confusion_matrix"]["counts"]
    pictures = [_matrix_picture(name, who, counts, result.classes) for who, counts in matrices.items()]
    table = Table(
        f"{name}: counts as predicted ({', '.join(words(one) for one in result.classes)})",
        ("true class", *matrices),
        "l" + "r" * len(matrices),
        [
            [words(label), *(" / ".join(map(count_text, counts[row])) for counts in matrices.values())]
            for row, label in enumerate(result.classes)
        ],
    )
    blocks: list[Block] = [Gallery(pictures), table]
    if absent:
        blocks.append(Missing(f"{name}: no result of ours with the head {listed(absent)} on this split."))
    return blocks


def _matrix_picture(
    name: str, who: str, counts: Sequence[Sequence[float]], classes: Sequence[str]
) -> Picture:
    figure, (ax,) = new_figure(3.3, 3.1, panels=1)
    confusion_matrix(ax, counts, classes)
    return Picture(
        svg_uri(figure),
        f"Confusion matrix of {name}, {who}; the counts stand in the table below.",
        f"{name}: {who}",
        width_px(figure),
    )


def claims(results: Results) -> Section:
    """What the abstract says, what the published repository printed, and what came out here."""
    rows = []
    for claim in results.published.abstract_claims:
        for number, result in enumerate(_of(results, claim.dataset)):
            printed = result.n_right / result.n_test
            ours = results.metrics.get(Cell(result.dataset, result.backbone, "plain", "published"))
            gap = signed(f"{100 * (claim.accuracy - printed):+.2f}")
            rows.append(
                [
                    "" if number else DATASETS[claim.dataset].title,
                    "" if number else percent(claim.accuracy),
                    result.backbone_title,
                    f"{percent(printed)} ({result.n_right} of {result.n_test})",
                    gap,
                    _NOT_RUN if ours is None else percent_interval(ours, "accuracy"),
                ]
            )
    unclaimed = [
        DATASETS[dataset].title
        for dataset in dict.fromkeys(result.dataset for result in results.published.results)
        if dataset not in {claim.dataset for claim in results.published.abstract_claims}
    ]
    blocks: list[Block] = [
        Table(
            "Accuracy in the abstract and in the repository",
            (
                "dataset", "abstract", "backbone", "printed by the repository",
                "abstract − repository, points", "ours, plain, published split",
            ),
            "lrlrrr",
            rows,
        )
    ]  # fmt: skip
    if unclaimed:
        blocks.append(Text(f"The abstract gives no accuracy for {listed(unclaimed)}."))
    return Section("claims", "What the abstract claims, and what the repository printed", blocks)


def _of(results: Results, dataset: str) -> list[PublishedResult]:
    return [result for result in results.published.results if result.dataset == dataset]
