"""Numbers as texts."""

import pytest

from lung_attention.report.numbers import (
    change,
    decimal,
    listed,
    p_value,
    percent,
    percent_interval,
    points,
    seed_spread,
)


def test_shares():
    assert percent(219 / 220) == "99.55 %"
    assert percent(None) == "–"
    assert percent_interval({"x": 0.5, "x_low": 0.25, "x_high": 1.0}, "x") == "50.00 % (25.0 to 100.0)"
    assert percent_interval({"x": 0.5, "x_low": None, "x_high": None}, "x") == "50.00 %"
    assert percent_interval({}, "x") == "–"


@pytest.mark.parametrize(
    ("value", "text"), [(-0.0001, "0.000"), (-0.5, "−0.500"), (0.1234, "0.123"), (None, "–")]
)
def test_decimals(value, text):
    assert decimal(value) == text


def test_differences_have_signs():
    assert points({"difference": 0.012, "low": -0.004, "high": 0.029}) == "+1.2 (−0.4 to +2.9)"
    assert points({"difference": 0.0, "low": None, "high": None}) == "0.0"
    assert points({"difference": None, "low": None, "high": None}) == "–"
    assert change({"difference": -0.5, "low": -1.0, "high": 0.0}) == "−0.500 (−1.000 to 0.000)"


def test_small_p_values_have_a_bound():
    assert p_value(0.0009) == "< 0.001"
    assert p_value(0.001) == "0.001"


def test_spread_over_seeds():
    assert seed_spread({"seeds": [0], "accuracy_seed_sd": 0.0}) == "1 seed"
    assert seed_spread({"seeds": [0, 1, 2], "accuracy_seed_sd": 0.0046}) == "0.46 (3 seeds)"


def test_words_in_a_row():
    assert [listed(["a", "b", "c"][:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
