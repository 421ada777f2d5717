"""Bounds by formula, against hand computation, published examples and simulation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_tables import table_of
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from lung_attention.evaluation.bounds import (
    area_variance,
    effective_size,
    exponential_average_precision,
    perfect_area,
    perfect_proportion,
    perfect_scores,
)
from lung_attention.evaluation.intervals import evaluate
from lung_attention.evaluation.weighted import LOSSES, SCORES

SETTINGS = {"resamples": 60, "confidence": 0.95, "bins": 5, "seed": 0}


def test_effective_size_is_kishs():
    assert effective_size(np.repeat(np.arange(7), 3)) == pytest.approx(7)
    # Clusters of 6, 1 and 1 images: 8² / (36 + 1 + 1).
    assert effective_size(np.array([4] * 6 + [9, 2])) == pytest.approx(64 / 38)
    assert effective_size(np.array([], int)) == 0


def test_variance_of_an_area_in_the_example_of_hanley_and_mcneil():
    # Their Table I: area .893 of 51 abnormal and 58 normal scans, standard error .032.
    assert math.sqrt(area_variance(0.893, 51, 58)) == pytest.approx(0.032, abs=0.0005)


def test_with_equal_classes_the_variance_is_hanley_and_mcneils_own():
    m, area = 40, 0.9
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    want = (area * (1 - area) + (m - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / m**2
    assert area_variance(area, m, m) == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize(("m", "n"), [(10, 10), (8.3, 64), (1, 300), (240, 480)])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_perfect_area_is_z_standard_errors_from_its_bound(m, n, confidence):
    bound = perfect_area(m, n, confidence=confidence)
    z = norm.ppf((1 + confidence) / 2)
    assert 0 < bound < 1
    assert 1 - bound == pytest.approx(z * math.sqrt(area_variance(bound, m, n)), rel=1e-9)
    assert bound == pytest.approx(perfect_area(n, m, confidence=confidence))
    assert perfect_area(2 * m, 2 * n, confidence=confidence) > bound


def test_of_many_images_the_bound_is_near_its_approximation():
    assert 1 - perfect_area(1000, 1000, confidence=0.95) == pytest.approx(1.96**2 / 2000, rel=0.01)
    assert perfect_area(0, 5, confidence=0.95) == 0


@pytest.mark.parametrize(("area", "share"), [(0.5, 0.3), (0.75, 0.5), (0.9, 0.1), (0.99, 0.02)])
def test_average_precision_of_exponential_scores(area, share):
    rng = np.random.default_rng(0)
    labels = rng.random(400_000) < share
    scores = rng.exponential(np.where(labels, area / (1 - area), 1.0))
    assert roc_auc_score(labels, scores) == pytest.approx(area, abs=0.005)
    got = exponential_average_precision(area, share)
    assert got == pytest.approx(average_precision_score(labels, scores), abs=0.01)


def test_average_precision_at_the_ends():
    assert exponential_average_precision(1, 0.1) == 1
    assert exponential_average_precision(0, 0.1) == 0
    assert exponential_average_precision(0.5, 0.17) == pytest.approx(0.17)


def test_bound_of_a_proportion_is_the_exact_one_of_independent_clusters():
    # 20 equal clusters, one of them imagined in error: (α/2)^(1/19).
    clusters = np.repeat(np.arange(20), 3)
    assert perfect_proportion(clusters, confidence=0.95) == pytest.approx(0.025 ** (1 / 19))
    unequal = np.array([0] * 40 + list(range(1, 21)))
    assert perfect_proportion(unequal, confidence=0.95) == pytest.approx(0.025 ** (1620 / 3600))


def test_two_classes_have_one_area_and_an_absent_one_has_none():
    labels, clusters = np.repeat([0, 1], [12, 30]), np.arange(42)
    bounds = perfect_scores(labels, clusters, classes=2, confidence=0.95)
    assert bounds["auroc_ovr"] == bounds["auroc_ovo"] == perfect_area(12, 30, confidence=0.95)
    assert set(perfect_scores(labels, clusters, classes=3, confidence=0.95)) == {"mcc"}


def _case(labels, groups, *, wrong=()):
    """One class against the other, perfectly apart but for images whose probabilities are exchanged."""
    n = len(labels)
    score = np.where(labels == 0, 0.9, 0.1) + 0.05 * np.linspace(-1, 1, n)
    for first, second in wrong:
        score[[first, second]] = score[[second, first]]
    return table_of(labels, np.stack([score, 1 - score], axis=1), ("ill", "well"), groups=groups)


@settings(max_examples=40, deadline=None)
@given(
    m=st.integers(2, 30), n=st.integers(2, 30), n_groups=st.integers(2, 25), seed=st.integers(0, 10**6),
    grouped=st.booleans(),
)  # fmt: skip
def test_a_perfect_score_looks_no_less_certain_than_one_with_an_error(m, n, n_groups, seed, grouped):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], [m, n])
    groups = rng.integers(n_groups, size=m + n) if grouped else None
    perfect = evaluate(_case(labels, groups), ("ill", "well"), **SETTINGS)
    # The last of one class and the first of the other: a pair in the wrong order, and two wrong decisions.
    pair = evaluate(_case(labels, groups, wrong=[(0, m + n - 1)]), ("ill", "well"), **SETTINGS)
    for name in SCORES:
        if name not in LOSSES:
            assert perfect[name] == perfect[f"{name}_high"] == 1
            assert perfect[f"{name}_low"] >= pair[f"{name}_low"], name
    for of_class in ("ill", "well"):
        lows = [result["per_class"][of_class]["sensitivity_low"] for result in (perfect, pair)]
        assert lows[0] >= lows[1]


@settings(max_examples=25, deadline=None)
@given(m=st.integers(3, 20), n=st.integers(3, 20), seed=st.integers(0, 10**6), c=st.integers(3, 4))
def test_nor_than_one_of_several_classes_with_a_wrong_image(m, n, seed, c):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.zeros(m, int), 1 + np.arange((c - 1) * n) % (c - 1)])
    classes, groups = tuple("abcd"[:c]), rng.integers(m + n, size=len(labels))
    p = np.full((len(labels), c), 0.1)
    p[np.arange(len(labels)), labels] = 1 + rng.random(len(labels))
    perfect = evaluate(
        table_of(labels, p / p.sum(1, keepdims=True), classes, groups=groups), classes, **SETTINGS
    )
    p[0, [0, 1]] = p[0, [1, 0]]
    wrong = evaluate(
        table_of(labels, p / p.sum(1, keepdims=True), classes, groups=groups), classes, **SETTINGS
    )
    assert wrong["accuracy"] < 1 and wrong["mcc"] < 1
    for name in set(SCORES) - set(LOSSES):
        assert perfect[f"{name}_low"] >= wrong[f"{name}_low"], name


def test_a_nearly_perfect_area_is_no_certainty():
    labels, results = np.repeat([0, 1], [40, 60]), []
    for pairs in range(4):
        score = np.linspace(0.99, 0.01, 100)
        # Neighbours across the border between the classes: each costs 1, 3, 5 ... of 2,400 pairs.
        for k in range(pairs):
            score[[39 - k, 40 + k]] = score[[40 + k, 39 - k]]
        table = table_of(labels, np.stack([score, 1 - score], axis=1), ("ill", "well"))
        results.append(evaluate(table, ("ill", "well"), **SETTINGS))
    assert [result["auroc_ovr"] for result in results] == pytest.approx(
        [1, 1 - 1 / 2400, 1 - 4 / 2400, 1 - 9 / 2400]
    )
    bound = perfect_area(40, 60, confidence=0.95)
    assert [result["auroc_ovr_low"] for result in results] == pytest.approx([bound] * 4)
