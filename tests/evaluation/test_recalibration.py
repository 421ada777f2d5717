"""Recalibration against statsmodels, which fits one weighting at a time."""

import numpy as np
import pytest
import statsmodels.api as sm
from prediction_tables import random_case
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss
from statsmodels.discrete.conditional_models import ConditionalLogit

from lung_attention.evaluation.intervals import multiplicities
from lung_attention.evaluation.recalibration import (
    calibration_intercept,
    calibration_slope,
    fit,
    inverse_temperature,
)


def _overconfident(seed, *, n=300, c=2):
    """Labels, and probabilities whose logarithms are three times too large."""
    labels, p = random_case(np.random.default_rng(seed), n=n, c=c, ties=False)
    p = p**3
    return labels, p / p.sum(axis=1, keepdims=True)


def _log_odds(p):
    return np.log(p[:, 0]) - np.log(p[:, 1])


def test_slope_of_two_classes_is_that_of_a_logistic_regression():
    labels, p = _overconfident(0)
    reference = sm.Logit(labels == 0, sm.add_constant(_log_odds(p))).fit(disp=0).params
    slopes = calibration_slope(p, labels, np.ones((300, 1)))
    assert slopes[0] == pytest.approx(reference[1], rel=1e-5)
    assert slopes[0] < 0.7
    turned = calibration_slope(p[:, ::-1], 1 - labels, np.ones((300, 1)))
    assert turned[0] == pytest.approx(slopes[0], rel=1e-5)


@pytest.mark.parametrize("c", [3, 4])
def test_slope_of_several_classes_is_that_of_a_conditional_logit(c):
    labels, p = _overconfident(1, c=c)
    n = len(labels)
    design = np.column_stack([np.log(p).ravel(), *(np.tile(np.eye(c)[k], n) for k in range(c - 1))])
    chosen = (np.arange(c) == labels[:, None]).astype(int).ravel()
    model = ConditionalLogit(chosen, design, groups=np.repeat(np.arange(n), c))
    reference = model.fit(disp=0).params
    slopes, intercepts = fit(np.log(p), labels, np.ones((n, 1)), slope=True, intercepts=True)
    assert slopes[0] == pytest.approx(reference[0], rel=1e-4)
    # Here the logarithms are centred first, which moves the intercepts and nothing else.
    moved = intercepts[:, 0] - slopes[0] * (np.log(p).mean(axis=0)[:-1] - np.log(p).mean(axis=0)[-1])
    assert moved == pytest.approx(reference[1:], abs=1e-3)


def test_many_weightings_at_once_are_as_many_fits():
    labels, p = _overconfident(2, n=120)
    weights = next(multiplicities(120, resamples=8, seed=0))
    slopes = calibration_slope(p, labels, weights)
    design = sm.add_constant(_log_odds(p))
    for column, slope in zip(weights.T, slopes, strict=True):
        rows = np.repeat(np.arange(120), column.astype(int))
        reference = sm.Logit(labels[rows] == 0, design[rows]).fit(disp=0).params[1]
        assert slope == pytest.approx(reference, rel=1e-4)


def test_intercept_is_that_of_a_regression_with_the_log_odds_as_offset():
    labels, p = _overconfident(3, c=3)
    own, clusters = (labels == 1).astype(int), np.arange(300)
    offset = np.log(p[:, 1]) - np.log1p(-p[:, 1])
    weights = next(multiplicities(300, resamples=40, seed=1))
    value, resampled = calibration_intercept(p[:, 1], own, clusters, weights)

    def reference(rows):
        family = sm.families.Binomial()
        return sm.GLM(own[rows], np.ones(len(rows)), family=family, offset=offset[rows]).fit().params[0]

    assert value == pytest.approx(reference(clusters), abs=1e-5)
    refits = [reference(np.repeat(clusters, column.astype(int))) for column in weights.T]
    assert resampled == pytest.approx(refits, abs=0.05)
    assert np.std(refits) > 0.15


def test_temperature_is_the_minimum_of_the_log_loss():
    labels, p = _overconfident(4, c=3)

    def loss(temperature):
        scaled = p ** (1 / temperature)
        return log_loss(labels, scaled / scaled.sum(axis=1, keepdims=True))

    best = minimize_scalar(loss, bounds=(0.5, 20), method="bounded", options={"xatol": 1e-9}).x
    inverse = inverse_temperature(p, labels, np.ones((300, 1)))
    assert 1 / inverse[0] == pytest.approx(best, rel=1e-5)
    assert best > 2


def test_where_nothing_is_in_error_no_slope_is_steep_enough():
    labels = np.repeat([0, 1], 20)
    p = np.where(labels[:, None] == [0, 1], 0.8, 0.2) + 0.01 * np.linspace(-1, 1, 40)[:, None] * [1, -1]
    assert calibration_slope(p, labels, np.ones((40, 1)))[0] == np.inf
    assert calibration_slope(p[:, ::-1], labels, np.ones((40, 1)))[0] == -np.inf
    assert inverse_temperature(p, labels, np.ones((40, 1)))[0] == np.inf


def test_what_is_undefined_is_nan():
    labels, p = _overconfident(5, n=30)
    weights = np.ones((30, 2))
    weights[labels == 0, 1] = 0
    slopes = calibration_slope(p, labels, weights)
    assert np.isfinite(slopes[0]) and np.isnan(slopes[1])
    constant = np.tile([0.3, 0.7], (30, 1))
    assert np.isnan(calibration_slope(constant, labels, np.ones((30, 1)))[0])
    value, resampled = calibration_intercept(p[:, 0], np.ones(30, int), np.arange(30), np.ones((30, 2)))
    assert np.isnan(value) and np.isnan(resampled).all()


def test_probabilities_of_0_and_1_do_not_break_a_fit():
    rng = np.random.default_rng(6)
    labels = rng.integers(2, size=200)
    sure = rng.random(200) < 0.5
    right = rng.random(200) < 0.8
    p = np.where(sure, np.where(right, labels, 1 - labels), 0.5)
    slopes = calibration_slope(np.stack([1 - p, p], axis=1), labels, np.ones((200, 1)))
    assert 0 < slopes[0] < 0.1
