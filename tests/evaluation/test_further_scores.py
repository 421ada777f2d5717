"""Further scores: one line each, with intervals over clusters."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, top_k_accuracy_score

from lung_attention.evaluation.further_scores import FURTHER_SCORES, further_scores
from lung_attention.evaluation.predictions import Predictions

TABLE = {
    "kappa": lambda y_true, y_score: cohen_kappa_score(y_true, y_score.argmax(axis=1)),
    "top_2": lambda y_true, y_score: top_k_accuracy_score(y_true, y_score, k=2),
}


def predictions(n, groups, seeds=1):
    random = np.random.default_rng(0)
    p = random.dirichlet([1, 1, 1], size=(seeds, n))
    return Predictions(
        classes=("a", "b", "c"),
        images=np.array([f"i{k:03}" for k in range(n)], dtype=object),
        groups=np.array([f"g{k % groups}" for k in range(n)], dtype=object),
        labels=random.integers(3, size=n),
        seeds=tuple(range(seeds)),
        folds=np.zeros((seeds, n), dtype=np.int64),
        probabilities=p,
    )


def test_a_score_is_the_mean_over_seeds_of_what_the_function_gives():
    table = predictions(60, 12, seeds=3)
    found = further_scores(table, resamples=50, confidence=0.9, seed=0, table=TABLE)
    each = [TABLE["kappa"](table.labels, p) for p in table.probabilities]
    assert found["kappa"] == pytest.approx(np.mean(each))
    assert found["kappa_seed_sd"] == pytest.approx(np.std(each, ddof=1))
    assert found["kappa_low"] < found["kappa"] < found["kappa_high"]
    assert 0 <= found["top_2_low"] <= found["top_2"] <= found["top_2_high"] <= 1


def test_fewer_groups_give_a_wider_interval():
    wide, narrow = (
        further_scores(predictions(200, groups, 1), resamples=300, confidence=0.95, seed=0, table=TABLE)
        for groups in (4, 200)
    )
    # Images of a group are independent here, so four groups say as much as their images on the average; but
    # the resampling has only four clusters to draw.
    assert wide["kappa"] == pytest.approx(narrow["kappa"])
    assert wide["kappa_high"] - wide["kappa_low"] != narrow["kappa_high"] - narrow["kappa_low"]


def test_an_undefined_score_is_none():
    def undefined(y_true, y_score):
        raise ValueError("a class is absent")

    found = further_scores(predictions(10, 5), resamples=5, confidence=0.9, seed=0, table={"x": undefined})
    assert found == {"x": None, "x_low": None, "x_high": None, "x_seed_sd": 0.0}


def test_nothing_is_computed_where_nothing_is_asked():
    assert FURTHER_SCORES == {}
    assert further_scores(predictions(4, 2), resamples=5, confidence=0.9, seed=0) == {}
