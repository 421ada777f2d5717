"""The sections on single datasets and cells: sample images, and all metrics of each cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from matplotlib.figure import Figure

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.evaluation.further_scores import FURTHER_SCORES
from lung_attention.images.decode import Pixels
from lung_attention.plots.confusion import count_text
from lung_attention.plots.images import image_strip
from lung_attention.plots.style import words
from lung_attention.report.blocks import Block, Details, Gallery, Missing, Page, Picture, Section, Table, Text
from lung_attention.report.cell_probabilities import EXPLANATION, probability_blocks
from lung_attention.report.collect import Json, Results
from lung_attention.report.embed import photo_uri, svg_uri, width_px
from lung_attention.report.numbers import DASH, count, decimal, decimal_interval, percent, percent_interval

DrawCell = Callable[[Cell], Mapping[str, Figure] | None]
ReadImages = Callable[[str], Mapping[str, list[Pixels]] | None]

_SHARES = ("accuracy", "balanced_accuracy")
_DECIMALS = (
    ("mcc", "Matthews correlation (MCC)"),
    ("macro_f1", "macro F1"),
    ("auroc_ovr", "AUROC, one vs rest"),
    ("auroc_ovo", "AUROC, one vs one"),
    ("average_precision", "average precision"),
    ("log_loss", "log loss"),
    ("brier", "Brier score"),
    ("ece", "expected calibration error"),
    *((name, words(name)) for name in FURTHER_SCORES),
)


def sample_section(results: Results, read_images: ReadImages) -> Section:
    """Images of each class of each dataset."""
    blocks: list[Block] = []
    for dataset in results.config.datasets:
        title = results.dataset(dataset).title
        images = read_images(dataset)
        if images is None:
            blocks.append(Missing(f"{title}: the archive is not there, so no image can be shown."))
        else:
            blocks.append(_strips(title, {name: row for name, row in images.items() if row}))
    return Section("samples", "Sample images", blocks)


def _strips(title: str, images: Mapping[str, list[Pixels]]) -> Gallery:
    """A strip of images for each class."""
    return Gallery(
        [
            Picture(
                photo_uri(strip),
                f"{count(len(row), 'sample image')} of {title}, class {words(name)}, evenly spaced over its "
                "files, squeezed to squares.",
                f"{title}: sample images of {words(name)}",
                strip.shape[1],
                "",
            )
            for name, row in images.items()
            for strip in [image_strip(row)]
        ]
    )


def cells_section(results: Results, draw: DrawCell) -> Section:
    """All metrics of each cell, folded away."""
    blocks: list[Block] = [
        Text(
            "All scores, class tables, ROC and learning curves of every cell. Scores are means over seeds; "
            "shaded ranges are those over seeds, and over folds for learning curves. Sensitivity, "
            "specificity and predictive value (PPV) are those of a class against all others."
        ),
        Details("What calibration, operating points and net benefit tell", [Text(EXPLANATION)]),
    ]
    for dataset in results.config.datasets:
        of_dataset = [
            _cell(results, cell, draw)
            if cell in results.metrics
            else Missing(f"{_name(results, cell)}: no result yet.")
            for cell in results.cells
            if cell.dataset == dataset
        ]
        blocks.append(Page(dataset, results.dataset(dataset).title, of_dataset))
    return Section("cells", "Each cell in detail", blocks)


def _name(results: Results, cell: Cell) -> str:
    return (
        f"{results.dataset(cell.dataset).title}, {results.title(cell.backbone)}, {cell.head} head, "
        f"{'' if cell.recipe == PUBLISHED else f'{cell.recipe} recipe, '}{cell.split} split"
    )


def _cell(results: Results, cell: Cell, draw: DrawCell) -> Details:
    values, name = results.metrics[cell], _name(results, cell)
    figures = draw(cell)
    blocks: list[Block] = [Text(_about(values)), _score_table(values), _class_table(values)]
    if figures is None:
        blocks.append(Missing("Predictions or history are missing, so there are no curves."))
    else:
        blocks.append(Gallery(_pictures(figures, values, name, cell)))
    blocks += probability_blocks(values, name, data=f"cells/{cell.name}/metrics.json")
    return Details(f"{name}: {percent(values['accuracy'])}", blocks)


def _pictures(figures: Mapping[str, Figure], values: Json, name: str, cell: Cell) -> list[Picture]:
    """The drawings of a cell, with their numbers in words."""
    confusions = values["confusion_matrix"]
    counts = "; ".join(
        f"{words(label)} {', '.join(map(count_text, row))}"
        for label, row in zip(confusions["classes"], confusions["counts"], strict=True)
    )
    told = {
        "confusion_matrix": (
            "Confusion matrix",
            f"Confusion matrix of {name}: true classes with their counts, as predicted: {counts}.",
            "predictions.csv",
        ),
        "roc": (
            "ROC curves",
            f"ROC curves of {name}, sensitivity over 1 − specificity; AUROC, one vs rest, "
            f"{decimal_interval(values, 'auroc_ovr')}.",
            "predictions.csv",
        ),
        "learning_curves": (
            "Learning curves",
            f"Loss and accuracy of {name} over epochs, on images that were trained on and on monitored ones; "
            f"in the end, on test images, loss {decimal(values['log_loss'])} and accuracy "
            f"{percent(values['accuracy'])}.",
            "history.csv",
        ),
    }
    return [
        Picture(svg_uri(figures[key]), alt, caption, width_px(figures[key]), f"cells/{cell.name}/{file}")
        for key, (caption, alt, file) in told.items()
        if key in figures
    ]


def _about(values: Json) -> str:
    seeds = ", ".join(str(seed) for seed in values["seeds"])
    text = (
        f"{count(values['n_test'], 'test image')} in {count(values['n_groups'], 'resampled unit')} "
        f"({values['unit']}); {'seed' if len(values['seeds']) == 1 else 'seeds'} {seeds}"
    )
    if values.get("trainable_parameters") is not None:
        text += f"; {values['trainable_parameters']:,} trainable parameters"
    if values.get("device"):
        text += f"; trained on: {values['device']}"
    return text + "."


def _score_table(values: Json) -> Table:
    rows = [
        [words(name), percent(values[name]), _bounds(values, name, percent), _spread(values, name, percent)]
        for name in _SHARES
    ]
    rows += [
        [title, decimal(values[name]), _bounds(values, name, decimal), _spread(values, name, decimal)]
        for name, title in _DECIMALS
    ]
    title = "Scores; intervals of percentages are widened for few images, the others are not (Methods)"
    return Table(title, ("score", "mean over seeds", "interval", "spread over seeds (SD)"), "lrrr", rows)


def _bounds(values: Json, name: str, text: Callable[[float | None], str]) -> str:
    low, high = values[f"{name}_low"], values[f"{name}_high"]
    return DASH if low is None or high is None else f"{text(low)} to {text(high)}"


def _spread(values: Json, name: str, text: Callable[[float | None], str]) -> str:
    return DASH if len(values["seeds"]) == 1 else text(values[f"{name}_seed_sd"])


def _class_table(values: Json) -> Table:
    by_class = [(name, values["per_class"][name]) for name in values["confusion_matrix"]["classes"]]
    rows = [
        [
            words(name),
            percent_interval(of_class, "sensitivity"),
            percent(of_class["specificity"]),
            percent(of_class["ppv"]),
            decimal(of_class["f1"]),
            f"{of_class['support']:,}",
        ]
        for name, of_class in by_class
    ]
    return Table("Classes", ("class", "sensitivity", "specificity", "PPV", "F1", "support"), "lrrrrr", rows)
