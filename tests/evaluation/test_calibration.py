"""Calibration of a cell: what is reported, and that no fold has a say in its own temperature."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_tables import random_case, table_of
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from lung_attention.evaluation.calibration import (
    TEMPERATURES,
    calibration,
    reliability,
    scale,
    temperatures,
)
from lung_attention.evaluation.metrics import scores
from lung_attention.evaluation.predictions import predictions_to_arrays

SETTINGS = {"resamples": 60, "confidence": 0.95, "bins": 5, "seed": 0}
THREE = ("normal", "malignant", "benign")


def _predictions(seed, *, n=120, c=3, folds=3, seeds=1, sharpness=3.0, groups=40):
    rng = np.random.default_rng(seed)
    labels, _ = random_case(rng, n=n, c=c)
    tables = []
    for k in range(seeds):
        logits = rng.normal(size=(n, c))
        logits[np.arange(n), labels] += 1
        p = np.exp(sharpness * logits)
        table = table_of(
            labels, p / p.sum(axis=1, keepdims=True), THREE[:c], groups=np.arange(n) % groups, seed=k
        )
        tables.append(table.assign(fold=np.arange(n) % groups % folds))
    return predictions_to_arrays(pd.concat(tables), THREE[:c])


def test_overconfidence_is_told_and_mended():
    predictions = _predictions(0, n=600, groups=200, seeds=2)
    found = calibration(predictions, **SETTINGS)
    before = scores(predictions.labels, predictions.probabilities[0], bins=5)
    after = found["temperature"]
    assert found["slope_low"] < found["slope"] < found["slope_high"] < 0.6
    assert after["slope_low"] < 1 < after["slope_high"]
    assert after["log_loss"] < found["class_share_log_loss"] < before["log_loss"]
    for name in ("log_loss", "brier", "ece"):
        assert after[name] < before[name]
        assert after[f"{name}_low"] <= after[name] <= after[f"{name}_high"]
    assert [(one["seed"], one["fold"]) for one in after["by_fold"]] == [
        (seed, fold) for seed in (0, 1) for fold in range(3)
    ]
    json.dumps(found, allow_nan=False)


def test_log_loss_of_class_shares_is_that_of_the_best_constant():
    predictions = _predictions(1)
    shares = np.bincount(predictions.labels) / len(predictions.labels)
    want = log_loss(predictions.labels, np.tile(shares, (len(predictions.labels), 1)))
    assert calibration(predictions, **SETTINGS)["class_share_log_loss"] == pytest.approx(want)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), fold=st.integers(0, 2))
def test_no_fold_has_a_say_in_its_own_temperature(seed, fold):
    predictions = _predictions(seed)
    rng = np.random.default_rng(seed + 1)
    inside = predictions.folds[0] == fold
    labels, p = predictions.labels.copy(), predictions.probabilities.copy()
    labels[inside] = rng.integers(3, size=inside.sum())
    p[0, inside] = rng.dirichlet(np.ones(3), size=inside.sum())
    changed = replace(predictions, labels=labels, probabilities=p)
    before, after = temperatures(predictions), temperatures(changed)
    assert before[0, fold] == after[0, fold]
    assert any(before[0, other] != after[0, other] for other in range(3) if other != fold)


def test_temperatures_change_no_decision_and_no_row_sum():
    predictions = _predictions(2, seeds=2)
    scaled = scale(predictions, temperatures(predictions))
    assert (scaled.predicted == predictions.predicted).all()
    assert scaled.probabilities.sum(axis=2) == pytest.approx(1)
    # One image by hand: the square root of the probabilities, made to sum to 1.
    by_hand = scale(predictions, {(number, fold): 2.0 for number in range(2) for fold in range(3)})
    roots = np.sqrt(predictions.probabilities[1, 7])
    assert by_hand.probabilities[1, 7] == pytest.approx(roots / roots.sum())


def test_one_test_part_leaves_nothing_to_fit_a_temperature_on():
    predictions = _predictions(3, folds=1)
    assert temperatures(predictions) == {}
    assert calibration(predictions, **SETTINGS)["temperature"] is None


def test_temperatures_are_bounded_where_the_other_folds_hold_no_error():
    predictions = _predictions(4)
    perfect = replace(predictions, probabilities=(0.7 * np.eye(3) + 0.1)[predictions.labels][None])
    assert set(temperatures(perfect).values()) == {TEMPERATURES[0]}
    found = calibration(perfect, **SETTINGS)
    assert found["slope"] is found["slope_low"] is found["slope_high"] is None
    even = replace(predictions, probabilities=np.full_like(predictions.probabilities, 1 / 3))
    assert set(temperatures(even).values()) == {1.0}


def test_an_upper_bound_that_no_error_sets_is_open():
    # One error among few images: many resamples have none, and no slope is steep enough for them.
    labels = np.repeat([0, 1], 12)
    score = np.where(labels == 0, 0.8, 0.2) + 0.1 * np.linspace(-1, 1, 24)
    score[[3, 15]] = score[[15, 3]]
    predictions = predictions_to_arrays(
        table_of(labels, np.stack([score, 1 - score], axis=1), ("a", "b")), ("a", "b")
    )
    found = calibration(predictions, **SETTINGS | {"resamples": 200})
    assert found["slope_low"] < found["slope"]
    assert found["slope_high"] is None


def test_intercepts_of_two_classes_mirror_each_other():
    found = calibration(_predictions(5, c=2), **SETTINGS)["intercepts"]
    assert found["normal"]["intercept"] == pytest.approx(-found["malignant"]["intercept"], abs=1e-6)
    assert found["normal"]["intercept_low"] == pytest.approx(-found["malignant"]["intercept_high"], abs=1e-4)


def test_reliability_of_two_classes_is_scikit_learns():
    predictions = _predictions(6, c=2, n=300)
    found = reliability(predictions, bins=10)
    observed, predicted = calibration_curve(
        predictions.labels == 0, predictions.probabilities[0, :, 0], n_bins=10
    )
    assert found["of"] == "normal"
    assert [row["predicted"] for row in found["bins"]] == pytest.approx(predicted)
    assert [row["observed"] for row in found["bins"]] == pytest.approx(observed)
    assert sum(row["count"] for row in found["bins"]) == 300


def test_reliability_of_several_classes_sums_to_the_calibration_error():
    predictions = _predictions(7)
    found = reliability(predictions, bins=5)
    assert found["of"] is None
    gaps = sum(abs(row["observed"] - row["predicted"]) * row["count"] for row in found["bins"])
    want = scores(predictions.labels, predictions.probabilities[0], bins=5)["ece"]
    assert gaps / len(predictions.labels) == pytest.approx(want)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 30), c=st.integers(2, 3), folds=st.integers(1, 4))
def test_small_and_odd_cells_give_json(seed, n, c, folds):
    rng = np.random.default_rng(seed)
    labels = rng.integers(c, size=n)
    table = table_of(labels, rng.dirichlet(np.full(c, 0.3), size=n), THREE[:c], groups=np.arange(n) // 2)
    table["fold"] = np.arange(n) // 2 % folds
    found = calibration(predictions_to_arrays(table, THREE[:c]), **SETTINGS | {"resamples": 20})
    json.dumps(found, allow_nan=False)
    if found["slope"] is not None and found["slope_low"] is not None:
        assert found["slope_low"] <= found["slope"]
