"""What a cell's probabilities are worth: calibration, operating points and values per group, as blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lung_attention.plots.figures import metric_figures
from lung_attention.plots.style import words
from lung_attention.report.blocks import Block, Gallery, Picture, Table, Text
from lung_attention.report.collect import Json
from lung_attention.report.embed import svg_uri, width_px
from lung_attention.report.numbers import DASH, count, decimal, decimal_interval, percent_interval

EXPLANATION = (
    "Calibration tells whether probabilities mean what they say: its slope is 1 where they do and below 1 "
    "where they are too sure, its intercept (of a class against the rest, in log odds) is above 0 where the "
    "class is more frequent than they say. The log loss of the class shares is that of who predicts for each "
    "image the shares of the classes among the test images. The column after temperature scaling divides "
    "the log probabilities of each fold by one temperature, fitted on the predictions of the other folds; it "
    "changes no decision. It is no nested estimate, as the networks behind those predictions were trained "
    "on the fold's images, and its intervals take the temperatures as given. Where a split has one test "
    "part, nothing is left to fit a temperature on. Sensitivities at a fixed specificity are somewhat too "
    "good, as thresholds are read off the test images themselves; nothing is interpolated between two "
    "thresholds. Predictive values at a prevalence follow from sensitivity and specificity of the default "
    "decision, the most probable class. Net benefit (Vickers and Elkin 2006) weighs a false positive by the "
    "odds of the threshold probability; it stands where no known leakage flatters it."
)
_LOSSES = (("log_loss", "log loss"), ("brier", "Brier score"), ("ece", "expected calibration error"))


def probability_blocks(values: Json, name: str, *, data: str) -> list[Block]:
    """Tables and figures on the probabilities of one cell.

    Args:
        values: Its `metrics.json`.
        name: What the cell is called.
        data: Where that file is, beside the report.

    Returns:
        Calibration, operating points and, where several images make up a group, a line on values per group.
    """
    told = {
        "reliability": (
            "Reliability diagram with the number of images in each bin",
            f"Reliability diagram of {name}: observed shares over predicted probabilities, and counts of "
            f"images; {_bins(values['calibration']['reliability']['bins'])}.",
        ),
        "net_benefit": (
            "Net benefit, each class against the rest",
            f"Net benefit of {name} over threshold probabilities, beside treating all and none; "
            f"{_benefits(values['operating_points'])}.",
        ),
    }
    figures = metric_figures(values)
    pictures = [
        Picture(svg_uri(figures[key]), alt, caption, width_px(figures[key]), data)
        for key, (caption, alt) in told.items()
        # A benefit that leakage has made says nothing of a decision.
        if key != "net_benefit" or values.get("split") != "published"
    ]
    blocks: list[Block] = [_calibration_table(values), _sensitivity_table(values), _predictive_table(values)]
    if values["per_group"] is not None:
        blocks.append(Text(_per_group(values["per_group"])))
    return [*blocks, Gallery(pictures)]


def _bins(bins: Sequence[Mapping[str, float]]) -> str:
    """The lowest and the highest bin in words."""
    shown = [one for one in bins if one["count"]]
    return ", ".join(
        f"at {100 * one['predicted']:.0f} % predicted {100 * one['observed']:.0f} % observed"
        for one in (shown if len(shown) < 2 else (shown[0], shown[-1]))
    )


def _benefits(points: Json) -> str:
    """The net benefit at the middle threshold, for each class."""
    told = []
    for name, of_class in points.items():
        curve = of_class["net_benefit"]
        middle = len(curve["thresholds"]) // 2
        at = f"{words(name)} at {100 * curve['thresholds'][middle]:.0f} %: {decimal(curve['model'][middle])}"
        told.append(f"{at}, treating all {decimal(curve['treat_all'][middle])}")
    return "; ".join(told)


def _calibration_table(values: Json) -> Table:
    found = values["calibration"]
    scaled: Json = found["temperature"] or {}
    shares = decimal(found["class_share_log_loss"])
    rows = [["slope", _slope(found), _slope(scaled)]]
    rows += [
        [f"intercept, {words(name)}", decimal_interval(of_class, "intercept"), DASH]
        for name, of_class in found["intercepts"].items()
    ]
    rows += [
        [title, decimal_interval(values, key), decimal_interval(scaled, key) if scaled else DASH]
        for key, title in _LOSSES
    ]
    rows.append(["log loss of the class shares", shares, shares if scaled else DASH])
    rows.append(["temperature", "1", _temperatures(scaled)])
    return Table("Calibration", ("", "as predicted", "after temperature scaling"), "lrr", rows)


def _slope(found: Json) -> str:
    """A calibration slope; its interval has no upper end where no error sets one."""
    if found.get("slope") is None or found["slope_low"] is None:
        return decimal(found.get("slope"))
    high = "∞" if found["slope_high"] is None else decimal(found["slope_high"])
    return f"{decimal(found['slope'])} ({decimal(found['slope_low'])} to {high})"


def _temperatures(scaled: Json) -> str:
    if not scaled:
        return DASH
    fitted = [one["temperature"] for one in scaled["by_fold"]]
    return f"{min(fitted):.2f} to {max(fitted):.2f} ({len(fitted)} fits)"


def _sensitivity_table(values: Json) -> Table:
    points = values["operating_points"]
    fixed = list(next(iter(points.values()))["at_specificity"])
    rows = [
        [
            words(name),
            percent_interval(of_class, "specificity"),
            *(percent_interval(of_class["at_specificity"][one], "sensitivity") for one in fixed),
        ]
        for name, of_class in points.items()
    ]
    columns = ("class", "specificity of the decision", *(f"sensitivity at {_share(one)}" for one in fixed))
    return Table(
        "Operating points: sensitivity at a fixed specificity", columns, "l" + "r" * (1 + len(fixed)), rows
    )


def _predictive_table(values: Json) -> Table:
    rows = []
    for name, of_class in values["operating_points"].items():
        for number, (prevalence, at) in enumerate(of_class["at_prevalence"].items()):
            shown = "" if number else words(name)
            rows.append([shown, _share(prevalence), percent_interval(at, "ppv"), percent_interval(at, "npv")])
    return Table(
        "Predictive values of the decision", ("class", "prevalence", "positive", "negative"), "lrrr", rows
    )


def _share(text: str) -> str:
    return f"{100 * float(text):g} %"


def _per_group(found: Json) -> str:
    text = (
        f"Per group, by the mean probability of its images ({count(found['n_groups'], 'group')} of one "
        f"label): accuracy {percent_interval(found, 'accuracy')}, balanced accuracy "
        f"{percent_interval(found, 'balanced_accuracy')}, AUROC {decimal_interval(found, 'auroc_ovr')}."
    )
    if found["n_two_labels"]:
        text += f" {count(found['n_two_labels'], 'group')} of two or more labels left out."
    return text
