"""The blocks on a cell's probabilities hold the numbers of its metrics.json."""

import copy

import numpy as np
import pytest
from fake_results import POINTS, RESAMPLING, predictions
from known import LABELS

from lung_attention.evaluation.cell_metrics import cell_metrics
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.report.blocks import Gallery, Table, Text
from lung_attention.report.cell_probabilities import probability_blocks


def metrics_of(dataset, *, folds):
    table = predictions(dataset, "grouped", seeds=(0, 1), skill=1, rng=np.random.default_rng(4))
    table["fold"] = table["group"].str[1:].astype(int) % folds
    return cell_metrics(predictions_to_arrays(table, LABELS[dataset]), **POINTS, **RESAMPLING)


@pytest.fixture(scope="module", params=["iqoth", "lidc_nodules"])
def values(request):
    return metrics_of(request.param, folds=3)


def _table(values, caption):
    (table,) = [
        block
        for block in probability_blocks(values, "a cell", data="metrics.json")
        if isinstance(block, Table) and block.caption.startswith(caption)
    ]
    return table


def _rows(table):
    return {row[0]: list(row[1:]) for row in table.rows}


def _three(number):
    return f"{number:.3f}".replace("-", "−") if abs(number) >= 0.0005 else "0.000"


def _with_interval(of, name):
    return f"{_three(of[name])} ({_three(of[f'{name}_low'])} to {_three(of[f'{name}_high'])})"


def test_calibration_as_predicted_and_after_temperature_scaling(values):
    table = _table(values, "Calibration")
    assert table.columns == ("", "as predicted", "after temperature scaling")
    rows, found = _rows(table), values["calibration"]
    scaled = found["temperature"]
    assert rows["slope"] == [_with_interval(found, "slope"), _with_interval(scaled, "slope")]
    for name in values["confusion_matrix"]["classes"]:
        assert rows[f"intercept, {name}"] == [_with_interval(found["intercepts"][name], "intercept"), "–"]
    for title, key in (
        ("log loss", "log_loss"), ("Brier score", "brier"), ("expected calibration error", "ece"),
    ):  # fmt: skip
        assert rows[title] == [_with_interval(values, key), _with_interval(scaled, key)]
    shares = _three(found["class_share_log_loss"])
    assert rows["log loss of the class shares"] == [shares, shares]
    fitted = [one["temperature"] for one in scaled["by_fold"]]
    assert len(fitted) == 6  # two seeds of three folds
    assert rows["temperature"] == ["1", f"{min(fitted):.2f} to {max(fitted):.2f} (6 fits)"]
    assert values["log_loss"] != scaled["log_loss"], "else the columns could be exchanged"


def test_one_test_part_leaves_nothing_to_fit_a_temperature_on():
    values = metrics_of("iqoth", folds=1)
    assert values["calibration"]["temperature"] is None
    rows = _rows(_table(values, "Calibration"))
    assert {row[1] for row in rows.values()} == {"–"}
    assert rows["slope"][0] == _with_interval(values["calibration"], "slope")


def test_a_slope_that_no_error_bounds_is_open_above(values):
    open_above = copy.deepcopy(values)
    open_above["calibration"]["slope_high"] = None
    found = open_above["calibration"]
    slope = _rows(_table(open_above, "Calibration"))["slope"][0]
    assert slope == f"{_three(found['slope'])} ({_three(found['slope_low'])} to ∞)"


def test_operating_points_and_predictive_values_are_those_of_each_class(values):
    sensitivities = _table(values, "Operating points")
    assert sensitivities.columns[2:] == ("sensitivity at 90 %", "sensitivity at 95 %")
    predictive = _table(values, "Predictive values")
    rows = iter(predictive.rows)
    for row, (name, of) in zip(sensitivities.rows, values["operating_points"].items(), strict=True):
        assert row[0] == name
        assert row[1].startswith(f"{100 * of['specificity']:.2f} % (")
        for cell, share in zip(row[2:], ("0.9", "0.95"), strict=True):
            assert cell.startswith(f"{100 * of['at_specificity'][share]['sensitivity']:.2f} %")
        for first, share, text in ((name, "0.01", "1 %"), ("", "0.2", "20 %")):
            at = of["at_prevalence"][share]
            found = next(rows)
            assert found[:2] == [first, text]
            assert found[2].startswith(f"{100 * at['ppv']:.2f} %")
            assert found[3].startswith(f"{100 * at['npv']:.2f} %")
    assert next(rows, None) is None


def test_values_per_group_are_said_where_images_make_up_groups(values):
    (text,) = [
        block.text
        for block in probability_blocks(values, "a cell", data="metrics.json")
        if isinstance(block, Text)
    ]
    found = values["per_group"]
    assert f"({found['n_groups']} groups of one label): accuracy {100 * found['accuracy']:.2f} % (" in text
    without = values | {"per_group": None}
    assert not [
        block
        for block in probability_blocks(without, "a cell", data="metrics.json")
        if isinstance(block, Text)
    ]


def test_pictures_say_what_is_to_be_seen(values):
    (gallery,) = [
        block
        for block in probability_blocks(values, "a cell", data="metrics.json")
        if isinstance(block, Gallery)
    ]
    assert [one.alt.split(" of a cell")[0] for one in gallery.pictures] == [
        "Reliability diagram", "Net benefit",
    ]  # fmt: skip
    assert all(300 < one.width_px < 900 for one in gallery.pictures)
    assert all(one.data == "metrics.json" for one in gallery.pictures)
    reliability, benefit = gallery.pictures
    bins = [one for one in values["calibration"]["reliability"]["bins"] if one["count"]]
    assert (
        f"at {100 * bins[0]['predicted']:.0f} % predicted {100 * bins[0]['observed']:.0f} %"
        in reliability.alt
    )
    curve = next(iter(values["operating_points"].values()))["net_benefit"]
    middle = len(curve["thresholds"]) // 2
    assert f"{100 * curve['thresholds'][middle]:.0f} %: {_three(curve['model'][middle])}" in benefit.alt
