"""Operating points by hand and against scikit-learn's ROC curve; scores per group."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_tables import random_case, table_of
from sklearn.metrics import accuracy_score, roc_auc_score, roc_curve

from lung_attention.evaluation.operating_points import (
    THRESHOLDS,
    _Curve,
    net_benefit,
    operating_points,
    predictive_values,
)
from lung_attention.evaluation.per_group import group_predictions, scores_per_group
from lung_attention.evaluation.predictions import predictions_to_arrays

SETTINGS = {"resamples": 80, "confidence": 0.95, "seed": 0}
POINTS = {"specificities": [0.8, 0.95], "prevalences": [0.01, 0.2], **SETTINGS}


def _arrays(labels, p, classes=("ill", "well"), groups=None):
    return predictions_to_arrays(table_of(labels, p, classes, groups=groups), classes)


def test_predictive_values_by_bayes():
    # Of 10,000 with prevalence 1 %: 90 of 100 ill called, 990 of 9,900 well called.
    ppv, npv = predictive_values(np.array([0.9]), np.array([0.9]), 0.01)
    assert ppv[0] == pytest.approx(90 / 1080)
    assert npv[0] == pytest.approx(8910 / 8920)
    assert np.isnan(predictive_values(np.array([0.0]), np.array([1.0]), 0.5)[0][0])


def test_net_benefit_of_a_table():
    # 30 true and 20 false positives of 100 at a threshold of 1 in 5: .30 − .20 × ¼.
    got = net_benefit(np.array([30.0]), np.array([20.0]), np.array([100.0]), np.array([0.2]))
    assert got[0] == pytest.approx(0.25)


def test_net_benefit_of_a_cell_by_hand():
    # Probabilities of the ill .9 .6 .3, of the well .7 .2 .1; at .5: 2 true and 1 false positive of 6.
    labels, p = np.array([0, 0, 0, 1, 1, 1]), np.array([0.9, 0.6, 0.3, 0.7, 0.2, 0.1])
    found = operating_points(_arrays(labels, np.stack([p, 1 - p], axis=1)), **POINTS)
    entry = found["ill"]["net_benefit"]
    at_half = entry["thresholds"].index(0.5)
    assert entry["model"][at_half] == pytest.approx(2 / 6 - 1 / 6)
    assert entry["treat_all"][at_half] == pytest.approx(0)
    assert entry["model"][0] == pytest.approx(entry["treat_all"][0]) == pytest.approx(0.5 - 0.5 * 0.05 / 0.95)
    assert found["well"]["net_benefit"]["model"][at_half] == pytest.approx(2 / 6 - 1 / 6)
    assert found["ill"]["specificity"] == pytest.approx(2 / 3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(4, 250), fixed=st.sampled_from([0.5, 0.9, 0.95]),
       ties=st.booleans())  # fmt: skip
def test_sensitivity_at_a_specificity_is_a_point_of_scikit_learns_curve(seed, n, fixed, ties):
    rng = np.random.default_rng(seed)
    positive = np.concatenate([[True, False], rng.random(n - 2) < 0.4])
    score = rng.random(n) + 0.5 * positive
    score = np.round(score, 1) if ties else score
    # Weights that are multiplicities: the curve of an image drawn twice.
    weights = rng.integers(1, 4, size=n)
    false, true, _ = roc_curve(positive, score, sample_weight=weights, drop_intermediate=False)
    want = true[1 - false >= fixed - 1e-9].max()
    got = _Curve(positive, score, np.arange(n)).sensitivities(weights[:, None].astype(float), [fixed])
    assert got[0, 0] == pytest.approx(want)


def test_nothing_is_interpolated():
    # Three of four well ones stand below both ill ones: specificity .75 finds both, any higher one the first.
    positive = np.array([True, False, True, False, False, False])
    score = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.1])
    curve = _Curve(positive, score, np.arange(6))
    assert curve.sensitivities(np.ones((6, 1)), [0.9, 0.75, 0.7])[:, 0].tolist() == [0.5, 1.0, 1.0]


def test_points_are_those_of_each_class_against_the_rest():
    rng = np.random.default_rng(0)
    classes = ("a", "b", "c")
    labels, p = random_case(rng, n=200, ties=False)
    found = operating_points(_arrays(labels, p, classes), **POINTS)
    for k, name in enumerate(classes):
        false, true, _ = roc_curve(labels == k, p[:, k], drop_intermediate=False)
        for fixed, one in found[name]["at_specificity"].items():
            assert one["sensitivity"] == pytest.approx(true[1 - false >= float(fixed) - 1e-9].max())
            assert one["sensitivity_low"] <= one["sensitivity"] <= one["sensitivity_high"]
        decided = p.argmax(axis=1) == k
        sensitivity, specificity = decided[labels == k].mean(), 1 - decided[labels != k].mean()
        ppv = sensitivity * 0.2 / (sensitivity * 0.2 + (1 - specificity) * 0.8)
        one = found[name]["at_prevalence"]["0.2"]
        assert one["ppv"] == pytest.approx(ppv)
        assert one["ppv_low"] < ppv < one["ppv_high"]
        assert found[name]["at_prevalence"]["0.01"]["ppv"] < one["ppv"]


def test_a_perfect_cell_is_not_certain():
    labels = np.repeat([0, 1], [15, 25])
    found = operating_points(_arrays(labels, np.eye(2)[labels]), **POINTS)["ill"]
    assert found["at_specificity"]["0.95"]["sensitivity"] == 1
    assert found["at_specificity"]["0.95"]["sensitivity_low"] < 0.8
    one = found["at_prevalence"]["0.01"]
    assert (one["ppv"], one["npv"]) == (1, 1)
    assert one["ppv_low"] < 0.1, "24 well ones prove no specificity worth a name at 1 %"
    assert 0.99 < one["npv_low"] < 1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(3, 25), c=st.integers(2, 3), seeds=st.integers(1, 2))
def test_small_and_odd_cells_give_json(seed, n, c, seeds):
    rng = np.random.default_rng(seed)
    classes, labels = tuple("abc"[:c]), rng.integers(c, size=n)
    groups = rng.integers(6, size=n)
    predictions = predictions_to_arrays(
        pd.concat(
            [
                table_of(labels, rng.dirichlet(np.ones(c), size=n), classes, groups=groups, seed=k)
                for k in range(seeds)
            ]
        ),
        classes,
    )
    found = operating_points(predictions, **POINTS | {"resamples": 15})
    json.dumps(found, allow_nan=False)
    for entry in found.values():
        assert len(entry["net_benefit"]["model"]) == len(THRESHOLDS)
    json.dumps(scores_per_group(predictions, **SETTINGS | {"resamples": 15}), allow_nan=False)


def test_groups_are_scored_by_their_mean_probability():
    #          g0: .9 .2    g1: .4 .4    g2: two labels   alone
    labels = np.array([0, 0, 1, 1, 0, 1, 1])
    groups = ["g0", "g0", "g1", "g1", "g2", "g2", ""]
    p = np.array([0.9, 0.2, 0.4, 0.4, 0.5, 0.5, 0.6])
    predictions = _arrays(labels, np.stack([p, 1 - p], axis=1), groups=groups)
    grouped, left_out = group_predictions(predictions)
    assert left_out == 1
    assert sorted(zip(grouped.labels.tolist(), grouped.probabilities[0, :, 0].round(6), strict=True)) == [
        (0, 0.55), (1, 0.4), (1, 0.6),
    ]  # fmt: skip
    found = scores_per_group(predictions, **SETTINGS)
    assert (found["n_groups"], found["n_two_labels"]) == (3, 1)
    assert found["accuracy"] == pytest.approx(accuracy_score([0, 1, 1], [0, 1, 0]))
    assert found["auroc_ovr"] == pytest.approx(roc_auc_score([1, 0, 0], [0.55, 0.4, 0.6]))


def test_images_that_are_their_own_groups_have_no_scores_of_groups():
    labels, p = random_case(np.random.default_rng(1), n=20, c=2)
    assert scores_per_group(_arrays(labels, p), **SETTINGS) is None
    assert scores_per_group(_arrays(labels, p, groups=np.arange(20)), **SETTINGS) is None
    assert scores_per_group(_arrays(labels, p, groups=np.zeros(20)), **SETTINGS) is None
