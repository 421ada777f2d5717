"""The published confusion matrices beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lung_attention.data.published import PublishedResult
from lung_attention.plots.confusion import confusion_matrix, count_text
from lung_attention.plots.style import new_figure, words
from lung_attention.report.blocks import Block, Details, Gallery, Missing, Picture, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.embed import svg_uri, width_px
from lung_attention.report.numbers import listed
from lung_attention.report.reproduction import name_of, own_cell


def confusion_section(results: Results) -> Section:
    """Published confusion matrices beside ours, with the right class names."""
    blocks: list[Block] = [
        Text(
            "On the published split; rows are true classes. Ours are means over seeds, so counts need not be "
            "whole. Colour is the share of the true class. Where the published notebooks printed wrong class "
            "names (IQ-OTH/NCCD and LIDC-IDRI), the right ones stand here."
        )
    ]
    alone = []
    for result in results.published.results:
        matrices: dict[str, Sequence[Sequence[float]]] = {"published": result.confusion_matrix}
        for head in results.config.heads:
            ours = own_cell(results, result, head)
            if ours is not None:
                matrices[f"ours, {head}"] = ours["confusion_matrix"]["counts"]
        pictures = [_matrix_picture(results, result, who, counts) for who, counts in matrices.items()]
        absent = [head for head in results.config.heads if f"ours, {head}" not in matrices]
        if len(absent) == len(results.config.heads):
            alone += pictures
            continue
        blocks += [
            Gallery(pictures),
            Details(f"{name_of(results, result)}: the counts", [_counts(result, matrices)]),
        ]
        if absent:
            blocks.append(
                Missing(f"{name_of(results, result)}: no result of ours with the {listed(absent)} head.")
            )
    if alone:
        blocks += [Text("Of these there is no result of ours to set beside:"), Gallery(alone)]
    return Section("confusion", "Confusion matrices", blocks)


def _counts(result: PublishedResult, matrices: Mapping[str, Sequence[Sequence[float]]]) -> Table:
    return Table(
        f"Counts, in each cell as predicted: {' / '.join(words(one) for one in result.classes)}",
        ("true class", *matrices),
        "l" + "r" * len(matrices),
        [
            [words(label), *(" / ".join(map(count_text, counts[row])) for counts in matrices.values())]
            for row, label in enumerate(result.classes)
        ],
    )


def _matrix_picture(
    results: Results, result: PublishedResult, who: str, counts: Sequence[Sequence[float]]
) -> Picture:
    name = name_of(results, result)
    figure, (ax,) = new_figure(3.3, 3.1, panels=1)
    confusion_matrix(ax, counts, result.classes)
    rows = [
        f"{words(label)} {', '.join(map(count_text, row))}"
        for label, row in zip(result.classes, counts, strict=True)
    ]
    return Picture(
        svg_uri(figure),
        f"Confusion matrix of {name}, {who}; true classes with their counts: {'; '.join(rows)}.",
        f"{name}: {who}",
        width_px(figure),
        "",
        tagged=who != "published",
    )
