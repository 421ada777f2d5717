"""Verdicts and exit codes."""

import pandas as pd
import pytest
from gate_tables import CELL, table_of
from hypothesis import given
from hypothesis import strategies as st
from known import DATASETS

from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.gate.compare import DECIDING, Chance
from lung_attention.gate.pairing import paired
from lung_attention.gate.rules import (
    CellResult,
    Rule,
    Verdict,
    compare_pairs,
    exit_code,
    floor_breaches,
    is_beyond_margin,
    is_regression,
    overall,
    spread_of,
)

RULE = Rule(0.01, Chance(resamples=1000, confidence=0.95, power=0.8, seed=0))
VERDICTS = st.lists(st.sampled_from(Verdict))
CHANGE = st.floats(-1, 1)


def pair_of(ours, theirs):
    classes = DATASETS["lidc"].labels
    return paired(*(predictions_to_arrays(pd.concat(tables), classes) for tables in (ours, theirs)))


def judged(*pairs, rule=RULE, sd=0.0):
    named = {f"cell-{k}": pair for k, pair in enumerate(pairs)}
    return list(compare_pairs(named, dict.fromkeys(named, sd), rule).values())


@given(VERDICTS)
def test_the_exit_code(verdicts):
    code = exit_code(verdicts)
    lost = any(verdict in ("regression", "below floor") for verdict in verdicts)
    assert (code == 1) == lost
    assert (code == 2) == (not lost and "not comparable" in verdicts)
    assert code in (0, 1, 2)


@given(VERDICTS, VERDICTS)
def test_more_cells_never_make_a_failure_a_pass(some, more):
    assert (exit_code(some + more) == 0) == (exit_code(some) == 0 and exit_code(more) == 0)


@given(VERDICTS)
def test_the_words_agree_with_the_code(verdicts):
    words = overall([CellResult("a", verdict) for verdict in verdicts])
    assert words.startswith(("pass", "fail", "not comparable")[exit_code(verdicts)])
    assert ("warning" in words) == (exit_code(verdicts) == 0 and Verdict.INCONCLUSIVE in verdicts)


@given(*[CHANGE] * 4, st.floats(0, 1), st.floats(0, 0.5))
def test_a_regression_is_beyond_the_margin_and_beyond_chance(a, b, upper_a, upper_b, p, margin):
    rule = Rule(margin, RULE.chance)
    differences, upper = (
        dict(zip(DECIDING, (a, b), strict=True)),
        dict(zip(DECIDING, (upper_a, upper_b), strict=True)),
    )
    found = is_regression(differences, upper, p, rule)
    if found:
        assert is_beyond_margin(differences, margin)
        assert p < 0.05
        assert min(upper.values()) < 0
    worse = {name: value - 0.1 for name, value in differences.items()}
    assert is_regression(worse, upper, p / 2, rule) >= found
    assert is_regression(differences, upper, p, Rule(margin + 0.1, RULE.chance)) <= found


def test_the_bound_of_one_score_does_not_serve_the_other():
    differences = {"balanced_accuracy": -0.05, "mcc": -0.005}
    assert not is_regression(differences, {"balanced_accuracy": 0.01, "mcc": -0.001}, 0.001, RULE)
    assert is_regression(differences, {"balanced_accuracy": -0.01, "mcc": 0.001}, 0.001, RULE)


def test_identical_predictions_pass_at_once():
    [result] = judged(pair_of([table_of(CELL)], [table_of(CELL)]))
    assert result.verdict is Verdict.IDENTICAL
    assert result.comparison.detectable is None
    assert set(result.comparison.differences.values()) == {0.0}


def test_verdicts_by_the_size_of_the_loss():
    reference = [table_of(CELL, errors=10)]
    verdicts = {
        errors: judged(pair_of([table_of(CELL, errors=errors)], reference))[0].verdict
        for errors in (4, 10, 11, 12, 13, 30)
    }
    assert verdicts == {
        4: "pass", 10: "identical", 11: "inconclusive",
        12: "inconclusive", 13: "regression", 30: "regression",
    }  # fmt: skip


def test_a_loss_up_to_the_margin_is_none():
    reference = [table_of(CELL, errors=10)]
    pair = pair_of([table_of(CELL, errors=16)], reference)
    assert judged(pair, rule=Rule(0.2, RULE.chance))[0].verdict is Verdict.PASS
    assert judged(pair, rule=Rule(0.05, RULE.chance))[0].verdict is Verdict.REGRESSION


def test_holm_counts_the_cells_in_which_a_decision_differs():
    # Of 2^8 patterns one is as bad: p = .004, which six cells bear and twenty do not.
    loss = pair_of([table_of(CELL, errors=14)], [table_of(CELL, errors=10)])
    same = pair_of([table_of(CELL)], [table_of(CELL)])
    harmless = pair_of([table_of(CELL, first=40)], [table_of(CELL)])
    assert judged(loss, *[same] * 20)[0].verdict is Verdict.REGRESSION
    assert judged(loss, *[harmless] * 5)[0].verdict is Verdict.REGRESSION
    among_many = judged(loss, *[harmless] * 19)[0]
    assert among_many.verdict is Verdict.INCONCLUSIVE
    assert among_many.comparison.p_holm == pytest.approx(20 * among_many.comparison.p_value)
    assert among_many.comparison.detectable > judged(loss)[0].comparison.detectable


def test_the_references_seeds_can_excuse_a_difference_and_the_candidates_cannot():
    steady = [table_of(CELL, errors=10, seed=seed) for seed in (0, 1)]
    erratic = [table_of(CELL, errors=5, seed=0), table_of(CELL, errors=45, seed=1)]
    assert spread_of(pair_of(erratic, steady), 0.01) == 0.01
    assert spread_of(pair_of(steady, erratic), 0.01) > 0.2
    worse = [table_of(CELL, errors=20, seed=seed) for seed in (0, 1)]
    for reference, verdict in (
        (steady, "regression"),
        ([erratic[0], erratic[0].assign(seed=1)], "regression"),
    ):
        pair = pair_of(worse, reference)
        assert judged(pair, sd=spread_of(pair, 0.01))[0].verdict == verdict
    worse = [table_of(CELL, errors=35, seed=seed) for seed in (0, 1)]
    pair = pair_of(worse, erratic)
    assert judged(pair, sd=spread_of(pair, 0.01))[0].verdict == "inconclusive"


def test_a_majority_vote_is_below_every_floor():
    assert len(floor_breaches({"balanced_accuracy": 0.5, "mcc": 0.0}, floor=0.5)) == 2
    assert floor_breaches({"balanced_accuracy": 0.51, "mcc": 0.01}, floor=0.5) == []
    [breach] = floor_breaches({"balanced_accuracy": 0.59, "mcc": 0.2}, floor=0.6)
    assert "0.590 is not above 0.600" in breach
    assert floor_breaches({"balanced_accuracy": float("nan"), "mcc": float("nan")}, floor=0.5)
