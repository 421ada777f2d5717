"""Model cards: for each cell what it is for, what it is worth, and what it is not."""

from __future__ import annotations

from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from lung_attention.cells import Cell
from lung_attention.evaluation.verdicts import BETTER, WORSE
from lung_attention.plots.style import words
from lung_attention.report.collect import Json, Results
from lung_attention.report.numbers import (
    DASH,
    decimal,
    decimal_interval,
    percent,
    percent_interval,
)
from lung_attention.report.page import environment

_SCORES = (
    ("accuracy", "accuracy", percent_interval),
    ("balanced_accuracy", "balanced accuracy", percent_interval),
    ("auroc_ovr", "AUROC, one vs rest", decimal_interval),
    ("mcc", "Matthews correlation", decimal_interval),
    ("log_loss", "log loss", decimal_interval),
)
_IN_THE_INDEX = ("accuracy", "balanced_accuracy", "auroc_ovr", "log_loss")


def model_card(results: Results, cell: Cell) -> str:
    """The card of a cell that has scores, as Markdown with the metadata that Hugging Face reads.

    Args:
        results: Of the profile.
        cell: One of `results.metrics`.
    """
    dataset, metrics = results.dataset(cell.dataset), results.metrics[cell]
    data = ModelCardData(
        model_name=cell.name,
        license="other",
        license_name=dataset.licence,
        library_name="keras",
        pipeline_tag="image-classification",
        tags=["medical", "research-only", cell.backbone, cell.head, cell.recipe],
        eval_results=[
            EvalResult(
                task_type="image-classification",
                dataset_type=cell.dataset,
                dataset_name=f"{dataset.title}, {cell.split} split",
                metric_type=name,
                metric_value=round(metrics[name], 4),
            )
            for name in _IN_THE_INDEX
            if metrics.get(name) is not None
        ],
    )
    # Markdown, and the texts are our own.
    template = environment(autoescape=False).get_template("card.md.j2")
    text = template.render(_said(results, cell, metrics))
    content = f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n"
    return str(ModelCard(content).content)


def _said(results: Results, cell: Cell, metrics: Json) -> dict[str, Any]:
    """What the template is given."""
    dataset, stand_ins = results.dataset(cell.dataset), results.config.active.stand_ins
    calibration = metrics["calibration"]
    return {
        "cell": cell,
        "dataset": dataset,
        "profile": results.config.profile,
        "backbone": results.title(cell.backbone),
        "stand_ins": stand_ins,
        "copy": results.copies.get(cell.dataset),
        "classes": [words(name) for name in dataset.labels],
        "metrics": metrics,
        "scores": [(title, shown(metrics, name)) for name, title, shown in _SCORES if name in metrics],
        "per_class": [
            (
                words(name),
                percent_interval(of, "sensitivity"),
                percent(of["specificity"]),
                percent(of["ppv"]),
                f"{of['support']:,}",
            )
            for name in dataset.labels
            for of in [metrics["per_class"][name]]
        ],
        "confidence": f"{100 * results.config.active.evaluate.confidence:.0f}",
        "baselines": _baselines(results, cell),
        "shortcuts": _shortcuts(results, cell.dataset),
        "leaks": results.audits.get(cell.dataset, {}).get("splits", {}).get(cell.split, {}).get("leak"),
        "slope": None if calibration["slope"] is None else f"{calibration['slope']:.2f}",
        "knowing_nothing": decimal(calibration["class_share_log_loss"]),
        "log_loss": decimal(metrics["log_loss"]),
        "maps": results.maps.get(cell),
    }


def _baselines(results: Results, cell: Cell) -> list[tuple[str, str, str, str]]:
    """The simple classifiers on the same images: title, whether blind, accuracy, and how this model is."""
    verdicts = {entry["baseline"]: entry["verdict"] for entry in results.against_baselines(cell)}
    shown = {BETTER: "better", WORSE: "worse", None: DASH}
    return [
        (
            str(of["title"]),
            "yes" if of["blind"] else "",
            percent_interval(of, "accuracy"),
            shown.get(verdicts.get(name), "not told apart"),
        )
        for name, of in results.baselines.get((cell.dataset, cell.split), {}).items()
    ]


def _shortcuts(results: Results, dataset: str) -> list[str] | None:
    """What gives the class away without a look inside of the image; None where nobody looked."""
    audit = results.audits.get(dataset)
    if audit is None or "shortcuts" not in audit:
        return None
    return [
        f"{probe['title']} (balanced accuracy {percent(probe['balanced_accuracy'])}, by chance "
        f"{percent(probe['by_chance']['balanced_accuracy'])})"
        for probe in audit["shortcuts"]["probes"].values()
        if probe["found"]
    ]
