"""Which model of each dataset one should take, and which not: sentences that follow from the comparisons."""

from __future__ import annotations

from collections.abc import Iterable

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.evaluation.verdicts import BETTER, HELPS, HURTS, UNDECIDED
from lung_attention.report.collect import Json, Results
from lung_attention.report.numbers import decimal, decimal_interval, listed, percent, percent_interval

_GROUPED = "grouped"
_VERDICTS = {
    HELPS: "Attention helps there",
    HURTS: "Attention hurts there",
    UNDECIDED: "Whether attention helps there is undecided",
}


def advice(results: Results) -> list[str]:
    """A paragraph for each dataset on which more than the published recipe was run, in Markdown.

    Stand-ins get none: nobody should take a model of theirs.

    The model named is the one whose probabilities are best on the grouped split: the lowest log loss, which
    an honest doubt lowers and a confident error raises. All that is said besides hangs on tests: a baseline
    counts as beaten where the network is better at the level of the report after Holm's adjustment.
    """
    datasets = [] if results.tag else results.config.datasets
    return [text for dataset in datasets if (text := _of(results, dataset))]


def _of(results: Results, dataset: str) -> str:
    cells = [
        cell
        for cell in results.cells
        if (cell.dataset, cell.split) == (dataset, _GROUPED)
        and cell in results.metrics
        and results.metrics[cell]["log_loss"] is not None
    ]
    further = [cell for cell in cells if cell.recipe != PUBLISHED]
    if not further:
        return ""
    best = min(further, key=lambda cell: float(results.metrics[cell]["log_loss"]))
    title, scores = results.dataset(dataset).title, _scores(results.metrics[best])
    said = [
        f"**{title}**: the network with the most honest probabilities is {_name(results, best)} ({scores}).",
        _to_take(results, best),
        *_attention(results, best),
        *_baselines(results, best),
        *_not_to_take(results, [cell for cell in cells if cell.recipe == PUBLISHED]),
    ]
    return " ".join(said)


def _to_take(results: Results, best: Cell) -> str:
    """Whether a classifier that costs less has better probabilities than the best network."""
    least = float(results.metrics[best]["log_loss"])
    simpler = sorted(
        (float(of["log_loss"]), str(of["title"]))
        for of in results.baselines.get((best.dataset, _GROUPED), {}).values()
        if not of["blind"] and of["log_loss"] is not None and float(of["log_loss"]) < least
    )
    if not simpler:
        return "No simpler classifier has a lower log loss: take it."
    loss, title = simpler[0]
    return f"Take {title} (log loss {decimal(loss)}) instead."


def _name(results: Results, cell: Cell) -> str:
    return f"{results.title(cell.backbone)}, {cell.head}, `{cell.recipe}`"


def _scores(values: Json) -> str:
    slope = values["calibration"]["slope"]
    parts = [
        f"balanced accuracy {percent_interval(values, 'balanced_accuracy')}",
        f"AUROC {decimal_interval(values, 'auroc_ovr')}",
        f"log loss {decimal(values['log_loss'])} where knowing nothing has {decimal(_shares(values))}",
        *([f"calibration slope {slope:.2f}"] if slope is not None else []),
    ]
    return ", ".join(parts)


def _shares(values: Json) -> float | None:
    """The log loss of a classifier that knows the class shares alone."""
    found: float | None = values["calibration"]["class_share_log_loss"]
    return found


def _attention(results: Results, best: Cell) -> Iterable[str]:
    """Whether attention helps with the recipe and backbone of the best model."""
    for entry in (results.comparisons or {}).get("attention_vs_plain", []):
        if all(
            entry[factor] == getattr(best, factor) for factor in ("dataset", "backbone", "recipe", "split")
        ):
            difference = entry["differences"]["auroc_ovr"]["difference"]
            moved = "" if difference is None else f" (AUROC {100 * difference:+.1f} points)".replace("-", "−")
            yield f"{_VERDICTS[entry['verdict']]}{moved}."


def _baselines(results: Results, best: Cell) -> Iterable[str]:
    """What of the simple classifiers the best model does not beat."""
    scores = results.baselines.get((best.dataset, _GROUPED), {})
    entries = [entry for entry in results.against_baselines(best) if entry["baseline"] in scores]
    unbeaten = [entry for entry in entries if entry["verdict"] != BETTER]
    blind, seeing = (
        [_baseline(scores[entry["baseline"]]) for entry in unbeaten if entry["blind"] == kind]
        for kind in (True, False)
    )
    if blind:
        yield (
            f"**It is no diagnosis**: beyond sampling error it does not beat {listed(blind)}, which "
            f"{'see' if len(blind) > 1 else 'sees'} nothing of the disease."
        )
    elif any(entry["blind"] for entry in entries):
        yield "It beats all that sees nothing of the disease."
    if seeing:
        yield f"Simpler classifiers that it does not beat: {listed(seeing)}."


def _baseline(values: Json) -> str:
    return f"{values['title']} ({percent(values['balanced_accuracy'])}, AUROC {decimal(values['auroc_ovr'])})"


def _not_to_take(results: Results, published: Iterable[Cell]) -> Iterable[str]:
    """The published recipe, where its probabilities are worse than none."""
    worse = []
    for cell in published:
        values = results.metrics[cell]
        shares = _shares(values)
        if shares is not None and float(values["log_loss"]) > shares:
            worse.append(
                f"{results.title(cell.backbone)} {cell.head} (log loss {decimal(values['log_loss'])})"
            )
    if worse:
        yield f"Not the published recipe: its probabilities are worse than none with {listed(worse)}."
