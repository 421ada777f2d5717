"""Verdicts and exit codes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gate_tables import CELL, table_of
from hypothesis import given
from hypothesis import strategies as st
from known import DATASETS

from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.gate.chance import Chance, Luck, seed_spread
from lung_attention.gate.pairing import paired
from lung_attention.gate.rules import (
    CellResult,
    Pooled,
    Rule,
    Verdict,
    compare_pairs,
    exit_code,
    overall,
)
from lung_attention.gate.scores import DECIDING

MARGINS = {"balanced_accuracy": 0.01, "mcc": 0.02, "auroc_ovr": 0.01, "log_loss": 0.05}
RULE = Rule(MARGINS, 0.01, Chance(resamples=1000, confidence=0.95, power=0.8, seed=0))
VERDICTS = st.lists(st.sampled_from(Verdict))
WORSE_TOGETHER = Pooled(2, dict.fromkeys(DECIDING, -0.1), 0.001, True)
NOT_WORSE_TOGETHER = Pooled(2, dict.fromkeys(DECIDING, 0.0), 1.0, False)


def pair_of(ours, theirs):
    classes = DATASETS["lidc"].labels
    return paired(*(predictions_to_arrays(pd.concat(tables), classes) for tables in (ours, theirs)))


def family(*pairs, rule=RULE, sd=0.0, luck=None, wanted=()):
    named = {f"cell-{k}": pair for k, pair in enumerate(pairs)}
    return compare_pairs(
        named,
        dict.fromkeys(named, luck or Luck(sd, 0.0)),
        rule,
        datasets=dict.fromkeys(named, "lidc"),
        wanted=wanted,
    )


def judged(*pairs, **options):
    return list(family(*pairs, **options).cells.values())


def rule_with(**margins):
    return replace(RULE, margins=MARGINS | margins)


@given(VERDICTS)
def test_the_exit_code(verdicts):
    code = exit_code(verdicts)
    lost = any(verdict in ("regression", "below floor") for verdict in verdicts)
    assert (code == 1) == lost
    assert (code == 2) == (not lost and "not comparable" in verdicts)
    assert code in (0, 1, 2)
    assert exit_code(verdicts, NOT_WORSE_TOGETHER) == code
    assert exit_code(verdicts, WORSE_TOGETHER) == 1


@given(VERDICTS, VERDICTS)
def test_more_cells_never_make_a_failure_a_pass(some, more):
    assert (exit_code(some + more) == 0) == (exit_code(some) == 0 and exit_code(more) == 0)


@given(VERDICTS)
def test_the_words_agree_with_the_code(verdicts):
    words = overall([CellResult("a", verdict) for verdict in verdicts])
    assert words.startswith(("pass", "fail", "not comparable")[exit_code(verdicts)])
    assert ("warning" in words) == (exit_code(verdicts) == 0 and Verdict.INCONCLUSIVE in verdicts)


def test_a_regression_is_beyond_its_own_margin():
    """A loss of one score does not serve the margin of another."""
    pair = pair_of([table_of(CELL, errors=30)], [table_of(CELL, errors=10)])
    wide = {"balanced_accuracy": 0.5, "mcc": 0.5, "auroc_ovr": 0.5, "log_loss": 5.0}
    assert judged(pair, rule=rule_with(**wide))[0].verdict is Verdict.PASS
    for name in DECIDING:
        narrow = wide | {name: MARGINS[name]}
        [result] = judged(pair, rule=rule_with(**narrow))
        assert result.verdict is Verdict.REGRESSION, name


def test_a_loss_of_ranking_or_of_confidence_alone_is_found():
    """No decision changes: what balanced accuracy and MCC cannot see."""
    table = table_of(CELL, errors=10)
    columns = [f"probability_{name}" for name in DATASETS["lidc"].labels]
    # Less sure, and in no order, though on the same side of 0.5.
    sure = np.random.default_rng(0).uniform(0.52, 0.95, len(table))
    side = table[columns].to_numpy().argmax(axis=1)
    vague = table.assign(**{name: np.where(side == k, sure, 1 - sure) for k, name in enumerate(columns)})
    pair = pair_of([vague], [table])
    assert pair.decided_alike
    [result] = judged(pair)
    assert result.verdict is Verdict.REGRESSION
    assert result.comparison.differences["balanced_accuracy"] == 0
    assert result.comparison.bounds["log_loss"] > 0
    only_log_loss = {"balanced_accuracy": 0.0, "mcc": 0.0, "auroc_ovr": 0.9}
    assert judged(pair, rule=rule_with(**only_log_loss))[0].verdict is Verdict.REGRESSION
    # As much as trainings' confidence is assumed to vary.
    lucky = judged(pair, rule=rule_with(**only_log_loss), luck=Luck(0.0, 1.0))[0]
    assert lucky.verdict is Verdict.INCONCLUSIVE


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
    wide = rule_with(balanced_accuracy=0.2, mcc=0.2, auroc_ovr=0.2, log_loss=0.5)
    assert judged(pair, rule=wide)[0].verdict is Verdict.PASS
    assert judged(pair)[0].verdict is Verdict.REGRESSION


def test_holm_counts_the_cells_in_which_a_probability_differs():
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


def lost_a_little(k):
    """A cell that loses two images of each class, other ones for every `k`."""
    reference = table_of(CELL, errors=0)
    return pair_of([table_of(CELL, errors=2, first=3 * k)], [reference])


def test_a_small_loss_everywhere_is_found_together():
    pairs = [lost_a_little(k) for k in range(10)]
    found = family(*pairs)
    assert {result.verdict for result in found.cells.values()} == {Verdict.INCONCLUSIVE}
    assert found.pooled.regression and found.pooled.cells == 10
    assert found.pooled.differences["balanced_accuracy"] == pytest.approx(-0.02)
    assert found.pooled.differences["log_loss"] > 0
    gained = family(*(replace(p, candidate=p.reference, reference=p.candidate) for p in pairs))
    assert not gained.pooled.regression and gained.pooled.p_value == 1.0


def test_what_is_pooled():
    pairs, same = [lost_a_little(k) for k in range(10)], pair_of([table_of(CELL)], [table_of(CELL)])
    assert family(pairs[0], same).pooled is None  # one changed cell is its own pool
    assert family(*pairs, same).pooled.cells == 10
    # A wanted loss is none of the others'.
    harmless = [pair_of([table_of(CELL, first=40)], [table_of(CELL)])] * 2
    others = family(*pairs, *harmless, wanted=[f"cell-{k}" for k in range(10)])
    assert (others.pooled.cells, others.pooled.p_value) == (2, 1.0)
    # Half of the loss is a margin's worth.
    assert not family(*pairs, rule=rule_with(**dict.fromkeys(DECIDING, 0.5))).pooled.regression


def test_the_family_has_one_chance_of_a_false_alarm():
    assert RULE.error(1) == pytest.approx(0.05)
    assert RULE.error(12) + RULE.pooled_error == pytest.approx(0.05)


def test_the_references_seeds_can_excuse_a_difference_and_the_candidates_cannot():
    steady = [table_of(CELL, errors=10, seed=seed) for seed in (0, 1)]
    erratic = [table_of(CELL, errors=5, seed=0), table_of(CELL, errors=45, seed=1)]
    worse = [table_of(CELL, errors=35, seed=seed) for seed in (0, 1)]
    assumed = Luck(0.01, 0.01)
    for reference, verdict in ((steady, "regression"), (erratic, "inconclusive")):
        pair = pair_of(worse, reference)
        luck = assumed.at_least(seed_spread(pair.reference))
        assert judged(pair, luck=luck)[0].verdict == verdict
        assert (luck == assumed) == (reference is steady)
