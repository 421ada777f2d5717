"""Permutation tests: by hand, by enumeration with scikit-learn's scores, and jointly over cells."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gate_tables import CELL, labels_of, predictions, random_pair, table_of, with_errors
from known import DATASETS
from scipy.stats import binom, norm
from sklearn.metrics import balanced_accuracy_score, log_loss, matthews_corrcoef, roc_auc_score

from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.gate.chance import Chance, Luck
from lung_attention.gate.contributions import auroc_gains, image_gains
from lung_attention.gate.pairing import Pair, paired
from lung_attention.gate.scores import DECIDING, gains, score_differences
from lung_attention.gate.swaps import null_gains, pooled, worst_p_value

CHANCE = Chance(resamples=20_000, confidence=0.95, power=0.8, seed=0)
EVERY = np.full(len(DECIDING), True)
DECISIONS = np.asarray([name in ("balanced_accuracy", "mcc") for name in DECIDING])


def read(*tables, dataset="lidc"):
    return predictions_to_arrays(pd.concat(tables), DATASETS[dataset].labels)


def worse_by(images, *, per_class=100):
    """A candidate with so many errors more in each of two classes, the reference's errors elsewhere."""
    reference = table_of(CELL, per_class=per_class, errors=0)
    return paired(read(table_of(CELL, per_class=per_class, errors=images)), read(reference))


def drawn_of(pair, *, sd=0.0, log_loss_sd=0.0, chance=CHANCE):
    return null_gains({"a": pair}, {"a": Luck(sd, log_loss_sd)}, dataset="lidc", chance=chance)["a"]


def p_value(pair, *, sd=0.0, counted=EVERY):
    return worst_p_value(gains(score_differences(pair)), counted, drawn_of(pair, sd=sd))


def exact_gains(labels, ours, theirs):
    """By scikit-learn: gains of the four scores, in the order of `DECIDING`."""

    def scores(p):
        multi = {"multi_class": "ovr"} if p.shape[1] > 2 else {}
        score = p if multi else p[:, 1]
        return np.asarray(
            [
                balanced_accuracy_score(labels, p.argmax(axis=1)),
                matthews_corrcoef(labels, p.argmax(axis=1)),
                roc_auc_score(labels, score, **multi),
                -log_loss(labels, p),
            ]
        )

    return scores(ours) - scores(theirs)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_the_permutation_test_is_the_sign_test_where_all_images_weigh_alike(lost):
    # 2 · lost images are lost and none is gained: of 4^lost sign patterns one is as bad.
    expected = binom.cdf(0, 2 * lost, 0.5)
    p = p_value(worse_by(lost), counted=DECISIONS)
    assert p == pytest.approx(expected, abs=4 * math.sqrt(expected / CHANCE.resamples))


@pytest.mark.parametrize(("classes", "ties"), [(2, False), (3, False), (2, True)])
def test_swapped_gains_are_those_of_swapped_predictions(classes, ties):
    """Areas under ROC curves, too: exactly, not nearly, though they are sums over pairs of images."""
    groups = np.arange(12) // 2
    pair = random_pair(1, classes=classes, n=12, groups=groups, ties=ties)
    if ties:  # rounded probabilities do not sum to 1, which scikit-learn's log loss minds
        second = [side.probabilities[..., 1] for side in (pair.candidate, pair.reference)]
        pair = Pair(*(replace(pair.candidate, probabilities=np.stack([1 - p, p], axis=-1)) for p in second))
    ours, theirs = pair.candidate.probabilities[0], pair.reference.probabilities[0]
    labels, codes = pair.candidate.labels, pair.candidate.clusters()[0]
    expected = []
    for swapped in itertools.product([False, True], repeat=6):
        rows = np.asarray(swapped)[codes][:, None]
        expected.append(exact_gains(labels, np.where(rows, theirs, ours), np.where(rows, ours, theirs)))
    expected = np.unique(np.round(expected, 9), axis=0)
    drawn = np.unique(np.round(drawn_of(pair, chance=replace(CHANCE, resamples=3000)).T, 9), axis=0)
    assert drawn.shape == expected.shape
    assert drawn == pytest.approx(expected, abs=2e-9)


def test_what_images_add_sums_to_the_gain():
    pair = random_pair(2, n=60)
    added = image_gains(pair)
    seen = dict(zip(DECIDING, gains(score_differences(pair)), strict=True))
    assert {name: values.sum() for name, values in added.items()} == pytest.approx(
        {name: seen[name] for name in added}
    )
    labels, ours = pair.candidate.labels, pair.candidate.probabilities[0]
    assert not auroc_gains(labels, ours, ours).any()


def test_the_worst_of_four_by_enumeration():
    pair = random_pair(0, n=10)
    ours, theirs = pair.candidate.probabilities[0], pair.reference.probabilities[0]
    labels = pair.candidate.labels
    drawn = np.asarray(
        [
            exact_gains(labels, np.where(rows, theirs, ours), np.where(rows, ours, theirs))
            for rows in (np.asarray(bits)[:, None] for bits in itertools.product([False, True], repeat=10))
        ]
    )
    spread = drawn.std(axis=0)
    for seen in drawn[[5, 300, 700]]:
        expected = ((drawn / spread).min(axis=1) <= (seen / spread).min() + 1e-9).mean()
        p = worst_p_value(seen, EVERY, drawn_of(pair))
        assert p == pytest.approx(expected, abs=0.004 + 4 * math.sqrt(expected / CHANCE.resamples))


def test_leaving_scores_out_never_makes_a_p_value_smaller():
    drawn = drawn_of(random_pair(3))
    for seen in (drawn[:, 0], drawn[:, 1] - 0.05):
        whole = worst_p_value(seen, EVERY, drawn)
        for k in range(len(DECIDING)):
            assert worst_p_value(seen, np.arange(len(DECIDING)) == k, drawn) >= whole
    assert worst_p_value(drawn[:, 0], ~EVERY, drawn) == 1.0


def test_p_values_of_equal_classifiers_are_not_small_more_often_than_they_say():
    """Exchangeable by construction: their labels come from a coin in every group."""
    chance = replace(CHANCE, resamples=400)
    small = []
    for seed in range(400):
        pair = random_pair(seed, classes=2, n=60, groups=np.arange(60) // 2)
        small.append(worst_p_value(gains(score_differences(pair)), EVERY, drawn_of(pair, chance=chance)))
    assert np.mean(np.asarray(small) <= 0.05) <= 0.08  # 5 % and three standard errors
    assert np.mean(np.asarray(small) <= 0.2) <= 0.26
    assert np.mean(small) == pytest.approx(0.5, abs=0.06)


def test_images_of_a_group_change_sides_together():
    labels = labels_of("lidc", [50, 50])
    ours = with_errors(labels, 4, classes=2)
    groups = np.arange(100) % 50
    tables = [predictions("lidc", d, labels=labels, groups=groups) for d in (ours, labels)]
    pair = paired(*(read(table) for table in tables))
    assert p_value(pair, counted=DECISIONS) == pytest.approx(1 / 2**4, abs=0.01)  # eight images, four groups


def test_a_lucky_training_makes_a_loss_less_surprising():
    pair = worse_by(10)
    ps = [p_value(pair, sd=sd, counted=DECISIONS) for sd in (0.0, 0.03, 0.1)]
    assert ps[0] < 1e-3 < ps[1] < 0.08 < ps[2]
    # Nearly all of it is the training's luck, common to the decisions: a normal deviation of sqrt(2) sd. Log
    # loss, which is swapped by coins alone here, is another chance of a worst score.
    alone = norm.cdf(-0.1 / math.hypot(math.sqrt(20) / 200, 0.1 * math.sqrt(2)))
    assert alone < ps[2] < 2 * alone


def test_where_nothing_differs_nothing_is_surprising():
    assert p_value(worse_by(0)) == 1.0


def test_a_gain_is_no_loss():
    pair = worse_by(10)
    assert p_value(Pair(pair.reference, pair.candidate)) > 0.5


def test_a_loss_in_many_cells_is_more_surprising_than_in_one():
    cells = {str(k): worse_by(3, per_class=100) for k in range(6)}
    # Each cell loses other images, so that their losses are independent evidence.
    for k, name in enumerate(cells):
        moved = read(table_of(CELL, errors=3, first=10 * k))
        cells[name] = replace(cells[name], candidate=moved)
    drawn = null_gains(cells, dict.fromkeys(cells, Luck(0.0, 0.0)), dataset="lidc", chance=CHANCE)
    seen = {name: gains(score_differences(pair)) for name, pair in cells.items()}
    single = worst_p_value(seen["0"], DECISIONS, drawn["0"])
    together = worst_p_value(*_with_counted(pooled(list(seen.values()), list(drawn.values())), DECISIONS))
    assert single == pytest.approx(1 / 64, abs=0.005)
    assert together <= 2 / CHANCE.resamples


def test_the_same_loss_in_the_same_images_is_evidence_only_once():
    """Cells that share images are swapped jointly: copies of a cell say no more than the cell."""
    pair = worse_by(2)
    cells = {str(k): pair for k in range(6)}
    drawn = null_gains(cells, dict.fromkeys(cells, Luck(0.0, 0.0)), dataset="lidc", chance=CHANCE)
    seen = [gains(score_differences(pair))] * 6
    together = worst_p_value(*_with_counted(pooled(seen, list(drawn.values())), DECISIONS))
    assert together == pytest.approx(1 / 16, abs=0.01)


def test_clusters_are_the_same_where_cells_have_some_of_the_images():
    whole, part = table_of(CELL, errors=2), table_of(CELL, errors=2).iloc[:150]
    full = [read(whole), read(table_of(CELL, errors=0))]
    rows = np.isin(full[0].images, part["image"])
    cells = {"whole": Pair(*full), "part": Pair(*(side.only(rows) for side in full))}
    drawn = null_gains(cells, dict.fromkeys(cells, Luck(0.0, 0.0)), dataset="lidc", chance=CHANCE)
    # The two errors of the first class are in both; those of the second are, too, with other weights.
    correlation = np.corrcoef(drawn["whole"][0], drawn["part"][0])[0, 1]
    assert correlation > 0.9


def _with_counted(sums, counted):
    return sums[0], counted, sums[1]
