import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prediction_tables import random_case
from sklearn import metrics as sk

from lung_attention.evaluation.metrics import scores
from lung_attention.evaluation.weighted import SCORES, WeightedScores


def model_of(labels, p, *, clusters=None, n_clusters=None, bins=6):
    n = len(labels)
    return WeightedScores(
        labels,
        p,
        clusters=np.arange(n) if clusters is None else clusters,
        n_clusters=n_clusters or n,
        bins=bins,
        rank=True,
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), c=st.integers(2, 4))
def test_weights_are_repetitions(seed, c):
    rng = np.random.default_rng(seed)
    labels, p = random_case(rng, n=40, c=c)
    weights = rng.integers(0, 4, size=40).astype(float)
    again = np.repeat(np.arange(40), weights.astype(int))
    if len(again) == 0:
        return
    got = model_of(labels, p)(weights[:, None])
    want = scores(labels[again], p[again], bins=6)
    for name in SCORES:
        assert got[name][0] == pytest.approx(want[name], abs=1e-12, nan_ok=True), name


@pytest.mark.parametrize("c", [2, 3])
def test_areas_equal_scikit_learns_with_sample_weights_and_ties(c):
    rng = np.random.default_rng(5)
    labels, p = random_case(rng, n=300, c=c)
    weights = rng.random(300) * 3
    got = model_of(labels, p)(weights[:, None])
    score = p if c > 2 else p[:, 1]
    area = sk.roc_auc_score(labels, score, sample_weight=weights, multi_class="ovr", average="macro")
    precision = sk.average_precision_score(np.eye(c)[labels], p, sample_weight=weights, average="macro")
    assert got["auroc_ovr"][0] == pytest.approx(area, abs=1e-12)
    assert got["average_precision"][0] == pytest.approx(precision, abs=1e-12)


def test_a_unit_brings_all_its_images():
    rng = np.random.default_rng(6)
    labels, p = random_case(rng, n=30)
    clusters = rng.integers(0, 7, size=30)
    weights = rng.integers(0, 3, size=(8, 4)).astype(float)  # cluster 7 has no image here
    got = model_of(labels, p, clusters=clusters, n_clusters=8)(weights)
    by_image = model_of(labels, p)(weights[clusters])
    for name in SCORES:
        assert got[name] == pytest.approx(by_image[name], abs=1e-12, nan_ok=True)


def test_counts_alone_leave_the_ranks_out():
    labels, p = random_case(np.random.default_rng(7))
    model = WeightedScores(labels, p, clusters=np.arange(60), n_clusters=60, bins=5, rank=False)
    assert "auroc_ovr" not in model(np.ones((60, 1)))


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="Expected n labels"):
        WeightedScores(
            np.zeros(3, int), np.ones((4, 2)) / 2, clusters=np.arange(4), n_clusters=4, bins=5, rank=True
        )
