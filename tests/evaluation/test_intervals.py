import itertools
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_tables import random_case, softened, table_of
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from lung_attention.evaluation.bounds import binomial_interval, proportion_interval
from lung_attention.evaluation.intervals import (
    evaluate,
    multiplicities,
    resampled_scores,
    score_intervals,
    seed_scores,
)
from lung_attention.evaluation.predictions import Predictions, predictions_to_arrays
from lung_attention.evaluation.weighted import LOSSES, SCORES

CLASSES = ("normal", "malignant", "benign")
SETTINGS = {"resamples": 200, "confidence": 0.95, "bins": 10, "seed": 0}


def test_multiplicities_are_draws_with_replacement():
    drawn = np.concatenate(list(multiplicities(50, resamples=130, seed=1)), axis=1)
    assert drawn.shape == (50, 130) and (drawn.sum(axis=0) == 50).all()
    assert drawn.var() == pytest.approx(49 / 50, abs=0.05)
    again = np.concatenate(list(multiplicities(50, resamples=65, seed=1)), axis=1)
    assert (again == drawn[:, :65]).all()
    other = np.concatenate(list(multiplicities(50, resamples=65, seed=2)), axis=1)
    assert (other != again).any()


def test_resampled_accuracy_has_the_clustered_standard_error():
    # Groups all right or all wrong: the accuracy of a resample is a binomial of the groups.
    labels = np.zeros(400, int)
    groups = np.repeat(np.arange(40), 10)
    table = table_of(labels, softened(labels, groups % 4 > 0, CLASSES), CLASSES, groups=groups)
    resampled = resampled_scores(
        predictions_to_arrays(table, CLASSES), resamples=3000, seed=0, bins=5, rank=False
    )
    assert resampled["accuracy"].std() == pytest.approx(np.sqrt(0.75 * 0.25 / 40), rel=0.05)


def test_percentiles_agree_with_scipys_bootstrap():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=150)
    table = table_of(labels, softened(labels, rng.random(150) < 0.7, CLASSES), CLASSES)
    predictions = predictions_to_arrays(table, CLASSES)
    resampled = resampled_scores(predictions, resamples=5000, seed=0, bins=5, rank=False)["accuracy"]
    reference = stats.bootstrap(
        (predictions.right[0].astype(float),), np.mean, n_resamples=5000, method="percentile", rng=1
    ).confidence_interval
    assert np.quantile(resampled, [0.025, 0.975]) == pytest.approx([reference.low, reference.high], abs=0.01)


@pytest.mark.parametrize(("k", "n"), [(0, 18), (18, 18), (217, 220), (100, 200)])
def test_binomial_interval_is_clopper_and_pearsons(k, n):
    want = proportion_confint(k, n, alpha=0.05, method="beta")
    assert binomial_interval(k, n, confidence=0.95) == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("errors", [0, 1, 3, 40])
def test_effective_size_of_independent_images_is_their_number(errors):
    p = 1 - errors / 220
    got = proportion_interval(p, np.sqrt(p * (1 - p) / 220), n_clusters=220, n_images=220, confidence=0.95)
    assert got == pytest.approx(binomial_interval(220 - errors, 220, confidence=0.95), abs=0.002)


def test_effective_size_of_repeated_images_is_the_number_of_units():
    p = 0.8
    got = proportion_interval(p, np.sqrt(p * (1 - p) / 50), n_clusters=50, n_images=1000, confidence=0.95)
    assert got == pytest.approx(binomial_interval(40, 50, confidence=0.95), abs=0.02)


def test_a_perfect_result_gets_an_honest_interval():
    labels = np.repeat([0, 1, 2], [92, 110, 18])
    one_hot = np.eye(3)[labels]
    result = evaluate(table_of(labels, one_hot, CLASSES), CLASSES, **SETTINGS)
    exact = proportion_confint(220, 220, alpha=0.05, method="beta")[0]
    assert result["accuracy_low"] == pytest.approx(exact, abs=0.001)
    for name in SCORES:
        low, value, high = result[f"{name}_low"], result[name], result[f"{name}_high"]
        assert low <= value <= high and high - low > 0.01, name
        assert (value == 0 and low == 0) if name in LOSSES else (value == 1 and high == 1), name
    # 18 benign images say less than 220 images.
    assert result["balanced_accuracy_low"] < result["accuracy_low"]
    assert result["per_class"]["benign"]["sensitivity_low"] == pytest.approx(
        proportion_confint(18, 18, alpha=0.05, method="beta")[0], abs=0.01
    )


@pytest.mark.parametrize("groups", [None, np.arange(220) // 4])
def test_an_error_more_does_not_raise_the_lower_bound(groups):
    labels = np.repeat([0, 1, 2], [92, 110, 18])
    lows = []
    for errors in range(4):
        right = np.arange(220) >= errors
        table = table_of(labels, softened(labels, right, CLASSES), CLASSES, groups=groups)
        lows.append(evaluate(table, CLASSES, **SETTINGS)["accuracy_low"])
    # The effective size is estimated: a slight rise is within what it can know.
    assert all(later <= earlier + 1e-3 for earlier, later in itertools.pairwise(lows))


def test_a_constant_prediction_has_no_sampling_error_in_balanced_scores():
    labels = np.repeat([0, 1], [30, 70])
    table = table_of(labels, np.tile([0.3, 0.7], (100, 1)), ("a", "b"))
    result = evaluate(table, ("a", "b"), **SETTINGS)
    assert result["mcc"] == result["mcc_low"] == result["mcc_high"] == 0
    assert result["auroc_ovr_low"] == result["auroc_ovr_high"] == 0.5


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(3, 40), c=st.integers(2, 4), seeds=st.integers(1, 3),
    n_groups=st.integers(1, 12), grouped=st.booleans(),
)  # fmt: skip
def test_intervals_contain_their_score(seed, n, c, seeds, n_groups, grouped):
    rng = np.random.default_rng(seed)
    classes = tuple("abcd"[:c])
    labels = rng.integers(c, size=n)
    groups = rng.integers(n_groups, size=n) if grouped else None
    table = pd.concat(
        [
            table_of(labels, rng.dirichlet(np.ones(c), size=n), classes, groups=groups, seed=k)
            for k in range(seeds)
        ]
    )
    result = evaluate(table, classes, **SETTINGS | {"resamples": 40})
    for name in SCORES:
        low, value, high = (result[f"{name}{end}"] for end in ("_low", "", "_high"))
        if value is None:
            assert low is None and high is None
        else:
            assert low <= value <= high
            assert result[f"{name}_seed_sd"] >= 0
    assert result["accuracy_low"] >= 0 and result["accuracy_high"] <= 1
    json.dumps(result, allow_nan=False)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_rows_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    tables = []
    labels, _ = random_case(rng, n=25)
    groups = rng.integers(9, size=25)
    for k in range(2):
        tables.append(table_of(labels, rng.dirichlet(np.ones(3), size=25), CLASSES, groups=groups, seed=k))
    table = pd.concat(tables, ignore_index=True)
    shuffled = table.sample(frac=1, random_state=seed)
    assert evaluate(table, CLASSES, **SETTINGS) == evaluate(shuffled, CLASSES, **SETTINGS)


def test_a_seed_twice_changes_nothing():
    labels, p = random_case(np.random.default_rng(1), n=50)
    once = table_of(labels, p, CLASSES)
    twice = pd.concat([once, once.assign(seed=7)])
    one, two = evaluate(once, CLASSES, **SETTINGS), evaluate(twice, CLASSES, **SETTINGS)
    assert one.pop("seeds") == [0] and two.pop("seeds") == [0, 7]
    assert one == two


def test_scores_are_means_over_seeds_with_their_spread():
    labels = np.repeat([0, 1, 2], 10)
    tables = [
        table_of(labels, softened(labels, np.arange(30) >= errors, CLASSES), CLASSES, seed=errors)
        for errors in (0, 3, 6)
    ]
    result = evaluate(pd.concat(tables), CLASSES, **SETTINGS)
    assert result["accuracy"] == pytest.approx(0.9)
    assert result["accuracy_seed_sd"] == pytest.approx(0.1)
    assert result["confusion_matrix"]["counts"][0] == pytest.approx([7, 3, 0])
    assert result["per_class"]["normal"]["sensitivity"] == pytest.approx(0.7)
    assert result["per_class"]["normal"]["support"] == 10
    assert result["n_test"] == 30 and result["n_groups"] == 30


def test_coverage_with_correlated_groups():
    """Near 95 % when groups are resampled; images resampled as if independent promise far too much."""
    rng = np.random.default_rng(11)
    truth, repeats = 0.8, 200
    groups = np.repeat(np.arange(50), rng.integers(2, 13, size=50))
    labels, nothing = np.zeros(len(groups), int), np.full(len(groups), "", dtype=object)
    hits = {"groups": 0, "images": 0}
    for repeat in range(repeats):
        # Beta(0.8, 0.2): correlation 1/2 between two images of a group.
        right = rng.random(len(groups)) < rng.beta(0.8, 0.2, size=50)[groups]
        for cluster, names in (("groups", groups.astype(str).astype(object)), ("images", nothing)):
            predictions = Predictions(
                classes=("a", "b"),
                images=np.arange(len(groups)).astype(str).astype(object),
                groups=names,
                labels=labels,
                seeds=(0,),
                folds=np.zeros((1, len(groups)), int),
                probabilities=softened(labels, right, ("a", "b"))[None],
            )
            resampled = resampled_scores(predictions, resamples=200, seed=repeat, bins=2, rank=False)
            intervals, _ = score_intervals(
                predictions, seed_scores(predictions, bins=2), resampled, confidence=0.95
            )
            low, high = intervals["accuracy"]
            hits[cluster] += low <= truth <= high
    assert 0.92 <= hits["groups"] / repeats <= 0.985
    assert hits["images"] / repeats < 0.75
