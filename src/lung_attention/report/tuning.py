"""The appendix: what searches for settings found, and what they gained or lost on images they never saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lung_attention.cells import Cell
from lung_attention.data.catalog import DATASETS
from lung_attention.plots.search_figure import search_figure
from lung_attention.plots.style import words
from lung_attention.report.blocks import Block, Details, Missing, Picture, Section, Table, Text
from lung_attention.report.collect import Json, Results
from lung_attention.report.embed import svg_uri, width_px
from lung_attention.report.numbers import change, count, decimal, p_value, percent, points

# Not searched, or the same everywhere.
_NOT_SHOWN = ("jit_compile",)


def tuning_section(results: Results) -> Section:
    """Tuned beside default on the grouped split, and each search in detail."""
    title = "Appendix: settings found by a search"
    cells = results.tuned_cells
    if not cells:
        text = "No cell of this run was trained with settings found by a search (see `docs/search.md`)."
        return Section("tuning", title, [Text(text)])
    blocks: list[Block] = [
        Text(
            "The same head with settings that a search chose in place of those of the paper. The search is "
            "nested: the settings of each fold were chosen on its training groups alone, and its test part "
            "was predicted once. So the figures measure the rule of choosing, and they stand whatever they "
            "say. Differences are tuned minus default on the same images, in percentage points, with an "
            "interval that resamples groups. The column tuned : default counts the groups in which each is "
            "better; the test flips signs over groups, and Holm's method adjusts all p values of the table "
            "together. Undecided is no proof that both are equal."
        )
    ]
    entries = [] if results.comparisons is None else results.comparisons["tuned"]
    by_cell = {(entry["dataset"], entry["backbone"], entry["head"]): entry for entry in entries}
    rows, others = [], []
    for cell in cells:
        entry = by_cell.get((cell.dataset, cell.backbone, cell.default.head))
        if entry is None:
            blocks.append(Missing(f"{_name(results, cell)}: not compared yet."))
            continue
        differences = entry["differences"]
        name = [f"{DATASETS[cell.dataset].title}, {results.title(cell.backbone)}", cell.default.head]
        rows.append(
            [
                *name,
                percent(differences["accuracy"]["default"]),
                percent(differences["accuracy"]["tuned"]),
                points(differences["accuracy"]),
                f"{entry['tuned_better']:,} : {entry['default_better']:,}",
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
                "Accuracy on the grouped split, tuned beside default",
                (
                    "dataset, backbone", "head", "default", "tuned", "tuned − default", "tuned : default",
                    "p", "p, Holm", "verdict",
                ),
                "llrrrrrrl",
                rows,
            )
        )  # fmt: skip
        blocks.append(
            Table(
                "Tuned minus default for other scores (a negative difference of the loss is an improvement)",
                ("dataset, backbone, head", "balanced accuracy", "MCC", "AUROC, one vs rest", "loss"),
                "lrrrr",
                others,
            )
        )
    if results.comparisons is not None and results.comparisons["attention_vs_plain_tuned"]:
        blocks += _attention(results, results.comparisons["attention_vs_plain_tuned"])
    for cell in cells:
        found = results.searches.get(cell)
        if found is None:
            blocks.append(Missing(f"{_name(results, cell)}: what its search found is not there."))
        else:
            blocks.append(_search(_name(results, cell), found))
    return Section("tuning", title, blocks)


def _attention(results: Results, entries: Sequence[Json]) -> list[Block]:
    rows = [
        [
            f"{DATASETS[entry['dataset']].title}, {results.title(entry['backbone'])}",
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
            "The settings of the paper may suit one head better than the other. Here each head has settings "
            "that were chosen for it with the same effort."
        ),
        Table(
            "Accuracy on the grouped split, attention minus plain, both with found settings",
            ("dataset, backbone", "attention : plain", "difference", "p", "p, Holm", "verdict"),
            "lrrrrl",
            rows,
        ),
    ]


def _name(results: Results, cell: Cell) -> str:
    return f"{DATASETS[cell.dataset].title}, {results.title(cell.backbone)}, {cell.default.head} head"


def _search(name: str, found: Json) -> Details:
    # Folds first: the file has them sorted by name.
    studies = dict(sorted(found["studies"].items(), key=lambda entry: (entry[0] == "all", entry[0])))
    found = {**found, "studies": studies}
    complete = sum(study["trials"]["complete"] for study in studies.values())
    pruned = sum(study["trials"]["pruned"] for study in studies.values())
    figure = search_figure(found)
    return Details(
        f"{name}: {len(studies)} studies, {count(complete, 'complete trial')}, {pruned:,} pruned",
        [
            Picture(
                svg_uri(figure),
                f"Courses of the studies of {name}, and the importance of each parameter.",
                "Left: complete trials and the best one so far of each study; bad ones may lie above the "
                "axis. Right: importance of each parameter (PED-ANOVA), a point a study, a bar at the mean",
                width_px(figure),
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
    columns = ("setting", "default", *(words(name) for name in found["studies"]))
    return Table(
        "Settings: those of the paper, and those found", columns, "l" + "r" * (len(columns) - 1), rows
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
        "study", "complete", "pruned", "failed", "repeated", "loss, default", "loss, best", "best trial",
        "minutes",
    )  # fmt: skip
    return Table("Studies: trials, and the inner validation loss", columns, "lrrrrrrrr", rows)


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)
