"""The appendix on further recipes: what they gain or lose against the published one; what searches found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lung_attention.cells import FACTORS, PUBLISHED, Cell
from lung_attention.plots.search_figure import search_figure
from lung_attention.plots.style import words
from lung_attention.report.blocks import Block, Details, Missing, Picture, Section, Table, Text
from lung_attention.report.collect import Json, Results
from lung_attention.report.embed import svg_uri, width_px
from lung_attention.report.numbers import change, count, decimal, p_value, percent, points

# Not searched, or the same everywhere.
_NOT_SHOWN = ("jit_compile", "optimizer", "class_weights")

_RECIPES = {
    "recommended": "`recommended`: a linear head on averages and maxima of a close view, its penalty, epochs "
    "and temperature chosen by inner folds.",
    "finetuned": "`finetuned`: from there on, the last layers of the backbone are fitted as well, for a "
    "given number of epochs.",
    "searched": "`searched`: with settings that a search chose in place of those of the paper.",
}


def recipes_section(results: Results) -> Section:
    """Cells of further recipes beside those of the published one, and each search in detail."""
    title = "Appendix: further recipes"
    cells = results.further_cells
    if not cells:
        text = "No cell of this run was made by another recipe than the published one (see `docs/search.md`)."
        return Section("recipes", title, [Text(text)])
    made = {cell.recipe for cell in cells}
    blocks: list[Block] = [
        Text(
            "The same backbones and heads by other recipes. "
            + " ".join(text for recipe, text in _RECIPES.items() if recipe in made)
            + " What each fold is fitted with was chosen on its training groups alone, and its test part was "
            "predicted once. So the scores measure the rule of choosing, and they stand whatever they say. "
            "Differences are to the published recipe on the same "
            "images, in percentage points, with an interval that resamples groups. The column changed : "
            "published counts where each is better: groups on the grouped split, whose test flips signs over "
            "groups, and images on the published one, whose test is McNemar's. Holm's method adjusts all p "
            "values of a recipe and split together. Undecided is no proof that "
            "both are equal."
        )
    ]
    entries = [] if results.comparisons is None else results.comparisons["recipe_vs_published"]
    by_cell = {Cell(*(entry[factor] for factor in FACTORS)): entry for entry in entries}
    rows, others = [], []
    for cell in cells:
        entry = by_cell.get(cell)
        if entry is None:
            blocks.append(Missing(f"{_name(results, cell)}: not compared yet."))
            continue
        differences = entry["differences"]
        name = [
            f"{results.dataset(cell.dataset).title}, {results.title(cell.backbone)}",
            cell.head,
            cell.recipe,
            cell.split,
        ]
        rows.append(
            [
                *name,
                percent(differences["accuracy"]["published"]),
                percent(differences["accuracy"]["changed"]),
                points(differences["accuracy"]),
                f"{entry['changed_better']:,} : {entry['published_better']:,}",
                p_value(entry["p_value"]),
                p_value(entry["p_holm"]),
                entry["verdict"],
            ]
        )
        scores = ("balanced_accuracy", "mcc", "auroc_ovr", "log_loss")
        others.append([", ".join(name), *(change(differences[score]) for score in scores)])
    if rows:
        blocks.append(
            Table(
                "Accuracy beside that of the published recipe",
                (
                    "dataset, backbone", "head", "recipe", "split", "published", "changed", "difference",
                    "changed : published", "p", "p, Holm", "verdict",
                ),
                "llllrrrrrrl",
                rows,
            )
        )  # fmt: skip
        blocks.append(
            Table(
                "Changed minus published for other scores (a negative difference of the loss is a gain)",
                (
                    "dataset, backbone, head, recipe, split",
                    "balanced accuracy",
                    "MCC",
                    "AUROC, one vs rest",
                    "loss",
                ),
                "lrrrr",
                others,
            )
        )
    compared = [] if results.comparisons is None else results.comparisons["attention_vs_plain"]
    attention = [entry for entry in compared if entry["recipe"] != PUBLISHED]
    if attention:
        blocks += _attention(results, attention)
    for cell in cells:
        if cell.recipe != "searched":
            continue
        found = results.searches.get(cell)
        if found is None:
            blocks.append(Missing(f"{_name(results, cell)}: what its search found is not there."))
        else:
            blocks.append(_search(_name(results, cell), found, f"search/{cell.searched}.json"))
    return Section("recipes", title, blocks)


def _attention(results: Results, entries: Sequence[Json]) -> list[Block]:
    rows = [
        [
            ", ".join(
                (results.dataset(entry["dataset"]).title, results.title(entry["backbone"]), entry["recipe"])
            ),
            entry["split"],
            f"{entry['attention_better']:,} : {entry['plain_better']:,}",
            points(entry["differences"]["accuracy"]),
            p_value(entry["p_value"]),
            p_value(entry["p_holm"]),
            entry["verdict"],
        ]
        for entry in entries
    ]
    return [
        Text(
            "The settings of the paper may suit one head better than the other. Here each head was made by "
            "the same recipe, with the same effort to choose its settings."
        ),
        Table(
            "Accuracy, attention minus plain, both by the same recipe",
            (
                "dataset, backbone, recipe",
                "split",
                "attention : plain",
                "difference",
                "p",
                "p, Holm",
                "verdict",
            ),
            "llrrrrl",
            rows,
        ),
    ]


def _name(results: Results, cell: Cell) -> str:
    title = results.dataset(cell.dataset).title
    return (
        f"{title}, {results.title(cell.backbone)}, {cell.head} head, {cell.recipe} recipe, {cell.split} split"
    )


def _search(name: str, found: Json, data: str) -> Details:
    # Folds first: the file has them sorted by name.
    studies = dict(sorted(found["studies"].items(), key=lambda entry: (entry[0] == "all", entry[0])))
    found = {**found, "studies": studies}
    complete = sum(study["trials"]["complete"] for study in studies.values())
    pruned = sum(study["trials"]["pruned"] for study in studies.values())
    figure = search_figure(found)
    best = "; ".join(f"{one} {decimal(study['best_value'])}" for one, study in studies.items())
    return Details(
        f"{name}: {len(studies)} studies, {count(complete, 'complete trial')}, {pruned:,} pruned",
        [
            Picture(
                svg_uri(figure),
                f"Courses of the studies of {name}, and the importance of each parameter; best value of each "
                f"study: {best}.",
                "Left: complete trials and the best one so far of each study; bad ones may lie above the "
                "axis. Right: importance of each parameter (PED-ANOVA), a point a study, a bar at the mean",
                width_px(figure),
                data,
            ),
            _settings_table(found),
            _study_table(studies),
        ],
    )


def _settings_table(found: Json) -> Table:
    chosen = [study["settings"] for study in found["studies"].values()]
    keys = [
        key
        for key in found["default"]
        if key not in _NOT_SHOWN and (found["head"] != "plain" or not key.startswith("attention"))
    ]
    rows = [
        [words(key), *(_value(settings[key]) for settings in [found["default"], *chosen])] for key in keys
    ]
    columns = ("setting", "first trial", *(words(name) for name in found["studies"]))
    return Table(
        "Settings: those that each study began with, and those found",
        columns,
        "l" + "r" * (len(columns) - 1),
        rows,
    )


def _study_table(studies: Json) -> Table:
    rows = [
        [
            name,
            *(f"{study['trials'][state]:,}" for state in ("complete", "pruned", "error", "repeated")),
            decimal(study["default_value"]),
            decimal(study["best_value"]),
            f"{study['best_trial']:,}",
            f"{study['seconds'] / 60:.0f}",
        ]
        for name, study in studies.items()
    ]
    columns = (
        "study", "complete", "pruned", "failed", "repeated", "objective, first", "objective, best",
        "best trial", "minutes",
    )  # fmt: skip
    return Table("Studies: trials, and the objective on inner validation images", columns, "lrrrrrrrr", rows)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
