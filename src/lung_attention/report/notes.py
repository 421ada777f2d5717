"""Methods in plain words, as far as they depend on the run; licences and citations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.report.blocks import Bullets, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.numbers import DASH, count, listed
from lung_attention.report.weights import weights_told

_ATTENTION_UNIT = (
    "Soft attention: Datta S. K., Shaikh M. A., Srihari S. N., Gao M.: Soft-Attention Improves Skin Cancer "
    "Classification Performance. 2021. https://arxiv.org/abs/2105.03358"
)


def what_was_run(results: Results) -> Section:
    """What the published code really did, which explains the design."""
    common = results.published.common
    items = [
        f"Common to all six: {common.backbone_weights} backbone; {common.preprocessing}; head "
        f"`{common.head}`; {common.optimizer}, {common.loss}, batches of {common.batch_size}, "
        f"{common.epochs} epochs; {common.model_selection}; training seed: {common.training_seed}.",
        "The attention branch was computed, and its output never used: the printed parameter counts are "
        "those of the plain head. So the published results are compared with our plain head first.",
        "All splits were made by image: slices of one scan, or copies of one tissue tile, stand in training "
        "and test.",
    ]
    notes = [(result.dataset, result.note) for result in results.published.results if result.note]
    items += [f"{results.dataset(dataset).title}: {note}" for dataset, note in dict.fromkeys(notes)]
    rows = []
    for result in results.published.results:
        printed = result.trainable_parameters
        ours = [
            results.metrics.get(Cell(result.dataset, result.backbone, head, PUBLISHED, "published"), {})
            for head in results.config.heads
        ]
        rows.append(
            [
                f"{results.dataset(result.dataset).title}, {result.backbone_title}",
                str(result.image_size_px),
                " / ".join(f"{number:,}" for number in result.split_sizes.values()),
                f"{result.learning_rate:g}",
                "not printed" if printed is None else f"{printed:,}",
                *(_parameters(values) for values in ours),
            ]
        )
    heads = [f"ours, {head}" for head in results.config.heads]
    table = Table(
        "Settings of the six, and trainable parameters as printed and as counted here",
        (
            "dataset, backbone", "input, px", f"{' / '.join(results.published.results[0].split_sizes)}",
            "learning rate", "parameters, printed", *heads,
        ),
        "lrrrr" + "r" * len(heads),
        rows,
    )  # fmt: skip
    return Section("published", "What the published code ran", [Bullets(items), table])


def _parameters(values: Mapping[str, Any]) -> str:
    return f"{values['trainable_parameters']:,}" if values.get("trainable_parameters") else DASH


def methods(results: Results) -> Section:
    """How the scores came about: intervals, units, seeds, devices, and what stays open."""
    settings = results.config.active
    view = settings.preprocess.views[settings.train.recipe.view]
    confidence = f"{100 * settings.evaluate.confidence:g} %"
    items = [
        f"**Intervals** hold {confidence} confidence. They come from {settings.evaluate.resamples:,} "
        "bootstrap resamples that draw groups, not images, wherever groups are known, each with all its "
        "images and all seeds. Accuracies and sensitivities are widened to the exact binomial interval of "
        "the same effective number of images, and balanced accuracy with them; other scores only where "
        "they are perfect in every resample, so their intervals are a little short where errors are few.",
        f"**Grouped split**: {settings.split.folds} folds; no group stands on two sides. The predictions of "
        "all folds are pooled, and the recipe is that of the published split.",
        f"**Published recipe**: {settings.train.recipe.epochs} epochs, the last one is kept, nothing is "
        f"selected on any image; frozen backbone; images resized by `{view.interpolation}` "
        f"{'with' if view.antialias else 'without'} antialiasing.",
        f"**Verdicts**: {_published_verdicts(results)}attention is said to help or hurt only by its "
        "adjusted p value.",
        f"**Devices**: {_devices(results)}",
    ]
    if weights := weights_told(results.config):
        items.append(f"**Backbones**: {weights}")
    if settings.stand_ins:
        items.append("**Stand-ins**: " + " ".join(settings.stand_ins))
    items.append(f"**Left open**: {_open(results)}")
    rows = []
    for dataset in results.config.datasets:
        for number, split in enumerate(results.config.splits):
            cells = [v for c, v in results.metrics.items() if (c.dataset, c.split) == (dataset, split)]
            title = "" if number else results.dataset(dataset).title
            if not cells:
                rows.append([title, split, *["no result yet"] * 4])
                continue
            seeds = sorted({len(values["seeds"]) for values in cells})
            rows.append(
                [
                    title,
                    split,
                    f"{cells[0]['n_test']:,}",
                    str(cells[0]["unit"]),
                    f"{cells[0]['n_groups']:,}",
                    " to ".join(map(str, (seeds[0], seeds[-1])[: len(seeds)])),
                ]
            )
    table = Table(
        "What the intervals resample",
        ("dataset", "split", "test images", "unit", "units", "seeds"),
        "llrlrr",
        rows,
    )
    return Section("methods", "How the scores came about", [Bullets(items), table])


def _published_verdicts(results: Results) -> str:
    if not results.published.results:
        return ""
    return "a difference from a published result is named only if its interval leaves 0 out; "


def _devices(results: Results) -> str:
    cells = defaultdict(list)
    for cell, values in results.metrics.items():
        cells[str(values.get("device") or "an unknown device")].append(cell.name)
    if not cells:
        return "no cell has a result yet."
    if len(cells) == 1:
        (device,) = cells
        return f"all {count(len(results.metrics), 'cell')} were trained on: {device}."
    parts = [f"{device}: {', '.join(f'`{name}`' for name in names)}" for device, names in cells.items()]
    return "; ".join(parts) + "."


def _open(results: Results) -> str:
    parts = []
    absent = {
        results.dataset(result.dataset).title
        for result in results.published.results
        if result.dataset not in results.config.datasets
    }
    if absent:
        parts.append(
            f"the published results on {listed(sorted(absent))} are not checked, as those images are "
            "not in this run"
        )
    missing = len([cell for cell in results.cells if cell not in results.metrics])
    if missing:
        parts.append(f"without a result yet: {missing} of {count(len(results.cells), 'cell')}")
    unknown = [
        results.dataset(dataset).title
        for dataset in results.config.datasets
        if results.dataset(dataset).groups_inferred
    ]
    if unknown:
        parts.append(
            f"the patients of {listed(unknown)} are not known, so their groups are inferred and some related "
            "images may stand on two sides all the same"
        )
    return "; ".join(parts) + "." if parts else "nothing that the design asks for."


def licences(results: Results) -> Section:
    """Whose work this builds on."""
    paper = results.published.paper
    ours = [results.dataset(name) for name in results.config.datasets]
    datasets = {dataset.citation: dataset.licence for dataset in ours}
    items = [
        f"The paper: {paper.authors}: {paper.title}. {paper.venue}. https://doi.org/{paper.doi} "
        f"(computed on {paper.hardware})",
        _ATTENTION_UNIT,
        *(f"Images: {citation} Licence: {licence}." for citation, licence in datasets.items()),
    ]
    blocks = [Bullets(items)]
    if results.tag:
        text = "The images shown and used here are stand-ins made in the layouts of these datasets."
        return Section("licences", "Licences and citations", [Text(text), *blocks])
    return Section("licences", "Licences and citations", blocks)
