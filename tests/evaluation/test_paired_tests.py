import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_tables import softened, table_of
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from lung_attention.errors import UserError
from lung_attention.evaluation.intervals import resampled_scores, seed_scores
from lung_attention.evaluation.paired_tests import (
    difference_intervals,
    mcnemar,
    right_differences,
    sign_flip,
)
from lung_attention.evaluation.predictions import predictions_to_arrays

CLASSES = ("malignant", "benign")


def predictions_of(right, *, groups=None, labels=None):
    """Predictions of as many seeds as `right` has rows."""
    right = np.atleast_2d(right)
    labels = np.arange(right.shape[1]) % 2 if labels is None else labels
    tables = [
        table_of(labels, softened(labels, row, CLASSES), CLASSES, groups=groups, seed=k)
        for k, row in enumerate(right)
    ]
    return predictions_to_arrays(pd.concat(tables), CLASSES)


def intervals_of(a, b, names=("accuracy", "balanced_accuracy"), resamples=400):
    first, second = (seed_scores(x, bins=5) for x in (a, b))
    drawn = [resampled_scores(x, resamples=resamples, seed=0, bins=5, rank=False) for x in (a, b)]
    points = {name: float(first[name].mean() - second[name].mean()) for name in names}
    resampled = {name: drawn[0][name] - drawn[1][name] for name in names}
    return points, difference_intervals(a, b, points, resampled, confidence=0.95)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (9, 2), (30, 31), (5, 25)])
def test_mcnemar_equals_statsmodels(better, worse):
    n = 100
    a, b = np.ones(n, bool), np.ones(n, bool)
    b[:better] = False
    a[better : better + worse] = False
    got = mcnemar(right_differences(predictions_of(a), predictions_of(b)))
    want = statsmodels_mcnemar([[0, better], [worse, n]], exact=True).pvalue
    assert (got.better, got.worse) == (better, worse)
    assert got.p_value == pytest.approx(want, abs=1e-12)


def test_seeds_add_no_observations():
    rng = np.random.default_rng(0)
    a, b = rng.random(80) < 0.9, rng.random(80) < 0.75
    once = mcnemar(right_differences(predictions_of(a), predictions_of(b)))
    thrice = mcnemar(right_differences(predictions_of([a, a, a]), predictions_of([b, b])))
    assert once == thrice
    clusters = np.arange(80) // 4
    assert sign_flip(right_differences(predictions_of(a), predictions_of(b)), clusters) == sign_flip(
        right_differences(predictions_of([a, a, a]), predictions_of([b, b])), clusters
    )


def test_an_image_counts_for_the_head_that_is_more_often_right():
    a = predictions_of([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0]])
    b = predictions_of([[1, 0, 1, 0]])
    differences = right_differences(a, b)
    assert list(differences) == [0, 1, -2, 0]
    assert (mcnemar(differences).better, mcnemar(differences).worse) == (1, 1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=2, max_size=11))
def test_sign_flip_equals_scipys_enumeration(sums):
    differences = np.array(sums)
    got = sign_flip(differences, np.arange(len(sums)))
    want = stats.permutation_test(
        (differences,), np.sum, permutation_type="samples", alternative="two-sided", n_resamples=np.inf
    ).pvalue
    # Both tails of a symmetric distribution: scipy doubles one of them, capped at 1.
    assert got.p_value == pytest.approx(want, abs=1e-9)


def test_sign_flip_flips_whole_groups():
    differences = np.array([1, 1, 1, 1, 1, 1, 1, 1, -1, 1])
    clusters = np.array([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])  # sums 4, 4, 0
    got = sign_flip(differences, clusters)
    assert (got.better, got.worse, got.p_value) == (2, 0, 0.5)
    assert sign_flip(differences, np.arange(10)).p_value < 0.05


def test_sign_flip_of_many_groups_is_the_binomial_test():
    differences = np.array([1] * 430 + [-1] * 320 + [0] * 100)
    got = sign_flip(differences, np.arange(850))
    assert got.p_value == pytest.approx(stats.binomtest(430, 750).pvalue, rel=1e-9)
    assert sign_flip(np.zeros(5, int), np.arange(5)).p_value == 1.0


def test_sign_flip_keeps_its_level():
    rng = np.random.default_rng(3)
    clusters = np.repeat(np.arange(30), 5)
    rejected = 0
    for _ in range(400):
        # One group's images go together: McNemar on images would reject far too often.
        of_cluster = rng.choice([-1, 0, 1], size=30)
        rejected += sign_flip(of_cluster[clusters] * (rng.random(150) < 0.9), clusters).p_value < 0.05
    assert rejected / 400 <= 0.075


def test_equal_predictions_leave_room_for_a_difference():
    right = np.arange(220) >= 3
    points, intervals = intervals_of(predictions_of(right), predictions_of(right))
    assert points["accuracy"] == 0
    low, high = intervals["accuracy"]
    # No discordant image of 220: the exact bound of such a fraction is 1.7 %.
    assert high == pytest.approx(1 - 0.025 ** (1 / 220), abs=0.002) and low == pytest.approx(-high)
    assert intervals["balanced_accuracy"][1] > 0


def test_pairing_shortens_the_interval():
    rng = np.random.default_rng(2)
    hard = rng.random(300) < 0.3
    a, b = ~hard, ~hard
    b = b ^ (rng.random(300) < 0.03)
    points, intervals = intervals_of(predictions_of(a), predictions_of(b))
    low, high = intervals["accuracy"]
    assert low <= points["accuracy"] <= high and high - low < 0.07
    # As if of two independent test sets: twice as long.
    assert 2 * 1.96 * np.sqrt(2 * 0.7 * 0.3 / 300) > 2 * (high - low)


def test_groups_lengthen_the_interval():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(30), 10)
    of_group = rng.random((2, 30)) < 0.8
    a, b = of_group[0][groups], of_group[1][groups]
    lengths = []
    for column in (None, groups):
        _, intervals = intervals_of(predictions_of(a, groups=column), predictions_of(b, groups=column))
        lengths.append(intervals["accuracy"][1] - intervals["accuracy"][0])
    assert lengths[1] > 2 * lengths[0]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n_groups=st.integers(1, 8))
def test_intervals_of_differences_contain_them(seed, n_groups):
    rng = np.random.default_rng(seed)
    groups = rng.integers(n_groups, size=20)
    a, b = (predictions_of(rng.random((2, 20)) < 0.7, groups=groups) for _ in range(2))
    points, intervals = intervals_of(a, b, ("accuracy", "balanced_accuracy", "mcc"), resamples=40)
    for name, point in points.items():
        assert intervals[name][0] <= point <= intervals[name][1]


def test_coverage_of_paired_differences_in_groups():
    rng = np.random.default_rng(5)
    groups, covered, repeats = np.repeat(np.arange(40), 6), 0, 100
    labels = np.arange(240) % 2
    for _ in range(repeats):
        shared, own = rng.beta(1.6, 0.4, size=40)[groups], rng.random((2, 240))
        a, b = own[0] < shared, own[1] < shared * 0.9
        pair = [predictions_of(x, groups=groups, labels=labels) for x in (a, b)]
        _, intervals = intervals_of(*pair, ("accuracy",), resamples=200)
        covered += intervals["accuracy"][0] <= 0.8 * 0.1 <= intervals["accuracy"][1]
    assert 0.91 <= covered / repeats <= 0.99


def test_other_images_are_not_paired():
    a, b = predictions_of(np.ones(10, bool)), predictions_of(np.ones(12, bool))
    with pytest.raises(UserError, match="images"):
        right_differences(a, b)
    with pytest.raises(UserError, match="groups"):
        right_differences(a, predictions_of(np.ones(10, bool), groups=range(10)))
