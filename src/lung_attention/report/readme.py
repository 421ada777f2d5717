"""What README.md and docs/results.md show of the results."""

from __future__ import annotations

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.evaluation.verdicts import published_interval
from lung_attention.report.collect import Results
from lung_attention.report.compact import compact
from lung_attention.report.embed import svg_text
from lung_attention.report.factors import best_baselines
from lung_attention.report.lead import lead_figure, lead_groups
from lung_attention.report.numbers import percent, percent_interval
from lung_attention.report.page import answers_of, render_details, without_html

_KINDS = ("blind", "seeing")


def render_tables(results: Results, *, note: str = "") -> str:
    """Accuracies of the published results and of all cells of a profile, as a Markdown table.

    Args:
        results: The results of one profile.
        note: A sentence to stand above the table.

    Returns:
        Markdown: a sentence on what the scores are worth, and a table with a row for each dataset and
        backbone, published or of the design. What is not there is "open" (not in the design) or
        "no result yet". Real images have the report's answers above the table; stand-ins answer nothing and
        are not set beside published results.
    """
    config = results.config
    pairs = [(result.dataset, result.backbone) for result in results.published.results]
    own = [(dataset, backbone) for dataset in config.datasets for backbone in config.backbones]
    order = list(dict.fromkeys([*(result.dataset for result in results.published.results), *config.datasets]))
    pairs = sorted(dict.fromkeys(pairs + own), key=lambda pair: order.index(pair[0]))
    header = ["dataset", "backbone"]
    header += [] if results.tag else ["published"]
    for split in config.splits:
        header += [
            *(f"{head}, {split} split" for head in config.heads),
            *(f"best {kind} baseline, {split} split" for kind in _KINDS),
        ]
    answers = "" if results.tag else render_details(answers_of(results))
    lines = [
        _about(results),
        "",
        *([note, ""] if note else []),
        *([answers, ""] if answers else []),
        "Accuracies by the published recipe:",
        "",
        f"| {' | '.join(header)} |",
        f"|---|---|{'--:|' * (len(header) - 2)}",
    ]
    for dataset, backbone in pairs:
        cells = [] if results.tag else [_published(results, dataset, backbone)]
        for split in config.splits:
            for head in config.heads:
                values = results.metrics.get(Cell(dataset, backbone, head, PUBLISHED, split))
                if values is not None:
                    cells.append(percent_interval(values, "accuracy"))
                else:
                    cells.append("no result yet" if (dataset, backbone) in own else "open")
            best = best_baselines(results, dataset, split)
            cells += [percent(best.get(kind)) for kind in _KINDS]
        lines.append(
            f"| {results.dataset(dataset).title} | {results.title(backbone)} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def render_answers(results: Results) -> str:
    """The report's answers as a Markdown table of verdicts and main numbers; nothing for stand-ins."""
    if results.tag:
        return ""
    rows = [f"| {one.question} | **{one.verdict}** | {one.numbers} |" for one in answers_of(results)]
    return without_html("\n".join(["| question | answer | in numbers |", "|---|---|---|", *rows]))


def summary_picture(results: Results) -> str:
    """The picture that opens the report, as an SVG file for light and dark pages."""
    return compact(svg_text(lead_figure(lead_groups(results)))) + "\n"


def _about(results: Results) -> str:
    confidence = f"{100 * results.config.active.evaluate.confidence:g} %"
    text = f"Accuracy with its {confidence} interval, profile `{results.config.profile}`."
    devices = sorted({str(values["device"]) for values in results.metrics.values() if values.get("device")})
    if devices:
        text += f" Trained on: {', '.join(devices)}."
    return " ".join([text, *results.config.active.stand_ins])


def _published(results: Results, dataset: str, backbone: str) -> str:
    result = results.result(dataset, backbone)
    if result is None:
        return "–"
    low, high = published_interval(result, confidence=results.config.active.evaluate.confidence)
    values = {"accuracy": result.n_right / result.n_test, "accuracy_low": low, "accuracy_high": high}
    return percent_interval(values, "accuracy")
