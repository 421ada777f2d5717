import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lung_attention.evaluation.prediction_sets import covered, prediction_sets, set_threshold


def test_threshold_of_single_images_is_that_of_split_conformal_prediction():
    """By hand: of 9 scores the ⌈0.8 · 10⌉ = 8th smallest, here 1 - 0.2."""
    truth = np.array([0.9, 0.1, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
    assert set_threshold(truth, np.arange(9), coverage=0.8) == pytest.approx(0.2)


def test_a_large_group_counts_no_more_than_a_small_one():
    """By hand: each of 3 groups weighs 1/4, so 100 good images cannot outweigh two single ones."""
    truth = np.concatenate([np.full(100, 0.9), [0.5], [0.2]])
    groups = np.concatenate([np.zeros(100, dtype=np.int64), [1, 2]])
    assert set_threshold(truth, groups, coverage=0.5) == pytest.approx(0.5)
    assert set_threshold(truth, groups, coverage=0.75) == pytest.approx(0.2)


def test_too_few_groups_let_every_class_in():
    assert set_threshold(np.array([0.9, 0.8]), np.array([0, 1]), coverage=0.9) == 0.0


def test_the_most_probable_class_always_belongs_to_the_set():
    members = prediction_sets(np.array([[0.4, 0.35, 0.25], [0.9, 0.05, 0.05]]), 0.5)
    assert members.tolist() == [[True, False, False], [True, False, False]]


def test_images_of_new_groups_are_covered_as_asked():
    """Groups of very unequal size whose images resemble each other; the coverage is that of a new group."""
    rng = np.random.default_rng(1)

    def drawn(n):
        sizes = rng.integers(1, 30, n)
        groups = np.repeat(np.arange(n), sizes)
        level = rng.normal(1.0, 1.0, n)[groups]
        return 1 / (1 + np.exp(-(level + rng.normal(0, 0.5, len(groups))))), groups

    shares = []
    for _ in range(200):
        truth, groups = drawn(60)
        threshold = set_threshold(truth, groups, coverage=0.9)
        new, new_groups = drawn(40)
        weights = 1 / np.bincount(new_groups)[new_groups]
        shares.append(np.average(new >= threshold, weights=weights))
    assert 0.9 <= np.mean(shares) <= 0.93


@given(st.integers(2, 40), st.integers(0, 10_000))
def test_more_coverage_never_asks_for_more_probability(n, seed):
    rng = np.random.default_rng(seed)
    truth, groups = rng.uniform(size=n), rng.integers(0, 5, n)
    thresholds = [set_threshold(truth, groups, coverage=one) for one in (0.5, 0.8, 0.95)]
    assert thresholds == sorted(thresholds, reverse=True)


def test_measured_coverage_is_that_of_other_groups():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    logits = rng.normal(size=(600, 3))
    logits[np.arange(600), labels] += 1
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    share, size = covered(probabilities, labels, np.arange(600) // 2, coverage=0.9)
    assert share == pytest.approx(0.9, abs=0.04)
    assert 1 < size < 3


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(n,\)"):
        set_threshold(np.ones(3), np.ones(2, dtype=np.int64), coverage=0.9)
