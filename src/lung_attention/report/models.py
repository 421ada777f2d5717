"""The section on what the same backbones reach where nothing is known to leak, recipe by recipe."""

from __future__ import annotations

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.report.advice import advice
from lung_attention.report.blocks import Block, Section, Table, Text
from lung_attention.report.collect import Json, Results
from lung_attention.report.numbers import DASH, decimal, decimal_interval, percent_interval

_GROUPED = "grouped"
_COLUMNS = (
    "model", "recipe", "partitions or seeds", "balanced accuracy", "AUROC", "log loss", "calibration slope",
)  # fmt: skip


def models_section(results: Results) -> Section:
    """All recipes of each dataset side by side on the grouped split, with the baselines to beat."""
    title = "What the same backbones reach without known leakage"
    made = {cell.recipe for cell in results.metrics if cell.split == _GROUPED} - {PUBLISHED}
    if not made:
        text = "Only the published recipe was run; `docs/models.md` says what the recommended one does."
        return Section("models", title, [Text(text)])
    blocks: list[Block] = [
        Text(
            "The published recipe is the paper's. `recommended` is a regularised linear head on averages and "
            "maxima of a close view; penalty, epochs of attention and one temperature are chosen by inner "
            "folds of each fold's training groups, and all is repeated on several partitions, each with a "
            "seed of its own, so that each image is predicted several times. `finetuned` goes on from there "
            "and fits the last layers of the backbone, too. Above the networks stand the best baseline that "
            "is blind and the best that is not "
            "(by balanced accuracy): a network that does not beat them has learnt nothing beyond them. "
            "The log loss of the class shares is that of knowing nothing; a slope below 1 is overconfident, "
            "one above 1 too unsure."
        )
    ]
    blocks += [Text(paragraph) for paragraph in advice(results)]
    for dataset in results.config.datasets:
        cells = [
            cell
            for cell in results.cells
            if (cell.dataset, cell.split) == (dataset, _GROUPED) and cell in results.metrics
        ]
        rows = [*_baselines(results, dataset), *(_row(results, cell) for cell in cells)]
        of_shares = [results.metrics[cell]["calibration"]["class_share_log_loss"] for cell in cells]
        shares = of_shares[0] if of_shares else None
        caption = f"{results.dataset(dataset).title} (log loss of the class shares: {decimal(shares)})"
        blocks.append(Table(caption, _COLUMNS, "llrrrrr", rows))
    return Section("models", title, blocks)


def _baselines(results: Results, dataset: str) -> list[list[str]]:
    """The best blind baseline and the best of the others, where there are any."""
    scores = list(results.baselines.get((dataset, _GROUPED), {}).values())
    rows = []
    for blind in (True, False):
        of_kind = [of for of in scores if of["blind"] == blind and of["balanced_accuracy"] is not None]
        if of_kind:
            best = max(of_kind, key=lambda of: float(of["balanced_accuracy"]))
            name = f"{'blind baseline' if blind else 'baseline'}: {best['title']}"
            rows.append([name, "", "1", *_scores(best), DASH])
    return rows


def _row(results: Results, cell: Cell) -> list[str]:
    values = results.metrics[cell]
    found = values["calibration"]
    slope = decimal_interval(found, "slope") if found["slope"] is not None else DASH
    fits = f"{len(values['seeds']):,}"
    return [f"{results.title(cell.backbone)}, {cell.head}", cell.recipe, fits, *_scores(values), slope]


def _scores(values: Json) -> list[str]:
    return [
        percent_interval(values, "balanced_accuracy"),
        decimal_interval(values, "auroc_ovr"),
        decimal_interval(values, "log_loss"),
    ]
