"""The picture that opens README.md and the report: what was published, and what is left of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.evaluation.verdicts import published_interval
from lung_attention.plots.lanes import Estimate, Lane, draw_lanes, height_in
from lung_attention.plots.style import new_figure
from lung_attention.report.answers_by_dataset import COMBINED
from lung_attention.report.blocks import Picture
from lung_attention.report.collect import Results
from lung_attention.report.embed import svg_uri, width_px
from lung_attention.report.numbers import percent_range

Groups = Sequence[tuple[str, Sequence[Lane]]]

_CAPTION = (
    "Accuracy by dataset, published recipe, with intervals: {}ours on the published split, and ours once no "
    "related images stand on two sides (no known leakage); there also the best of the simple classifiers, "
    "which see one thing, such as a histogram, a given number or a backbone's features, and of the blind "
    "ones, which see nothing of the disease."
)
_PUBLISHED = "published"
_WIDE_IN, _NARROW_IN = 6.9, 3.8


def lead_picture(results: Results) -> Picture | None:
    """The picture in two widths; None where there is no result yet."""
    groups = lead_groups(results)
    if not groups:
        return None
    wide, narrow = lead_figure(groups), svg_uri(lead_figure(groups, narrow=True))
    published = any(lane.label == _PUBLISHED for _, lanes in groups for lane in lanes)
    caption = _CAPTION.format("the published result, " if published else "")
    data = "summary.csv"
    return Picture(svg_uri(wide), lead_text(groups), caption, width_px(wide), data, narrow=narrow)


def lead_figure(groups: Groups, *, narrow: bool = False) -> Figure:
    """The figure; a narrow one leaves out the names of baselines."""
    if narrow:
        groups = [
            (title, [Lane(one.label, one.said.split("%")[0] + "%", one.estimates, one.look) for one in lanes])
            for title, lanes in groups
        ]
    figure, (ax,) = new_figure(_NARROW_IN if narrow else _WIDE_IN, height_in(groups), panels=1)
    draw_lanes(ax, groups, what="accuracy, %")
    return figure


def lead_text(groups: Groups) -> str:
    """All numbers of the picture, for those who do not see it."""
    return "Accuracies. " + " ".join(
        f"{title}: {'; '.join(f'{lane.label} {lane.said}' for lane in lanes)}." for title, lanes in groups
    )


def lead_groups(results: Results) -> Groups:
    """What is drawn of each dataset on which there is a network's result."""
    return [
        (results.dataset(dataset).title, lanes)
        for dataset in results.config.datasets
        if (lanes := _lanes(results, dataset))
    ]


def _lanes(results: Results, dataset: str) -> list[Lane]:
    first, *others = results.config.heads
    named = {first: "ours, no known leakage"} | {head: f"the same with {head}" for head in others}
    rows = [
        (_PUBLISHED, "given", [] if results.tag else _published(results, dataset)),
        ("ours, published split", "first", _networks(results, dataset, first, "published")),
        *(
            (label, "second" if head == first else "third", _networks(results, dataset, head, "grouped"))
            for head, label in named.items()
        ),
    ]
    lanes = [
        Lane(label, f"{percent_range([one.value for one in found])} %", found, look)
        for label, look, found in rows
        if found
    ]
    if not any(lane.look != "given" for lane in lanes):
        return []  # nothing of ours by the published recipe
    for label, blind in (("best simple classifier", False), ("best blind classifier", True)):
        best = _best(results, dataset, blind=blind)
        if best is not None:
            value = float(best["accuracy"])
            said = f"{100 * value:.1f} %  {best['title']}"
            lanes.append(Lane(label, said, [Estimate("", value)], "baseline" if not blind else "given"))
    return lanes


def _published(results: Results, dataset: str) -> list[Estimate]:
    found = []
    for backbone in results.config.backbones:
        result = results.result(dataset, backbone)
        if result is not None:
            bounds = published_interval(result, confidence=results.config.active.evaluate.confidence)
            found.append(Estimate(results.title(backbone), result.n_right / result.n_test, *bounds))
    return found


def _networks(results: Results, dataset: str, head: str, split: str) -> list[Estimate]:
    found = []
    for backbone in results.config.backbones:
        values = results.metrics.get(Cell(dataset, backbone, head, PUBLISHED, split))
        if values is not None and values["accuracy"] is not None:
            bounds = values["accuracy_low"], values["accuracy_high"]
            found.append(Estimate(results.title(backbone), values["accuracy"], *bounds))
    return found


def _best(results: Results, dataset: str, *, blind: bool) -> Mapping[str, Any] | None:
    """The best baseline on the grouped split: a blind one, or one that sees a single thing."""
    scores = results.baselines.get((dataset, "grouped"), {})
    kind = [
        of for name, of in scores.items() if of["blind"] == blind and (blind or not name.startswith(COMBINED))
    ]
    return max(kind, key=lambda of: float(of["accuracy"]), default=None)
