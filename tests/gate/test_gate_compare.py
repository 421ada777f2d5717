"""Numbers of the gate: by hand, by enumeration, and by scipy."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gate_tables import CELL, labels_of, predictions, table_of, with_errors
from known import DATASETS
from scipy.stats import binom, norm
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef

from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.gate.compare import (
    Chance,
    detectable_loss,
    mean_scores,
    score_differences,
    seed_spread,
    swap_p_value,
    upper_bounds,
)
from lung_attention.gate.pairing import Pair, paired

CHANCE = Chance(resamples=20_000, confidence=0.95, power=0.8, seed=0)


def read(*tables, dataset="lidc"):
    return predictions_to_arrays(pd.concat(tables), DATASETS[dataset].labels)


def worse_by(images, *, per_class=100):
    """A candidate with so many errors more in each of two classes, the reference's errors elsewhere."""
    reference = table_of(CELL, per_class=per_class, errors=0)
    return paired(read(table_of(CELL, per_class=per_class, errors=images)), read(reference))


def test_scores_are_means_over_seeds_of_scikit_learns():
    tables = [table_of(CELL, errors=3, seed=0), table_of(CELL, errors=10, first=40, seed=1)]
    scores = mean_scores(read(*tables))
    truth = [(table["label"], table["prediction"]) for table in tables]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean([balanced_accuracy_score(*t) for t in truth]))
    assert scores["mcc"] == pytest.approx(np.mean([matthews_corrcoef(*t) for t in truth]))
    assert scores["log_loss"] == pytest.approx(np.mean([-math.log(0.9), -math.log(0.1)], where=[True, False])
                                               * (1 - 13 / 200) - math.log(0.1) * 13 / 200)  # fmt: skip


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_the_permutation_test_is_the_sign_test_where_all_images_weigh_alike(lost):
    # 2 · lost images are lost and none is gained: of 4^lost sign patterns one is as bad.
    pair = worse_by(lost)
    p = swap_p_value(pair, score_differences(pair), training_sd=0.0, chance=CHANCE)
    expected = binom.cdf(0, 2 * lost, 0.5)
    assert p == pytest.approx(expected, abs=4 * math.sqrt(expected / CHANCE.resamples))


def test_the_permutation_test_by_enumeration():
    labels = labels_of("iqoth", [6, 5, 2])
    ours, theirs = labels.copy(), labels.copy()
    ours[[0, 1, 11]] = [1, 2, 0]
    theirs[[2, 6]] = [1, 0]
    tables = [predictions("iqoth", decided, labels=labels) for decided in (ours, theirs)]
    pair = paired(*(read(table, dataset="iqoth") for table in tables))
    seen = score_differences(pair)
    changed = np.flatnonzero(ours != theirs)
    drawn = []
    for swapped in itertools.product([False, True], repeat=len(changed)):
        a, b = ours.copy(), theirs.copy()
        chosen = changed[list(swapped)]
        a[chosen], b[chosen] = theirs[chosen], ours[chosen]
        drawn.append(
            [score(labels, a) - score(labels, b) for score in (balanced_accuracy_score, matthews_corrcoef)]
        )
    drawn = np.asarray(drawn)
    spread = drawn.std(axis=0)
    of_seen = min(0, *(np.asarray([seen["balanced_accuracy"], seen["mcc"]]) / spread))
    expected = (np.minimum(0, (drawn / spread).min(axis=1)) <= of_seen + 1e-6).mean()
    p = swap_p_value(pair, seen, training_sd=0.0, chance=CHANCE)
    assert 0.05 < expected < 0.6
    assert p == pytest.approx(expected, abs=4 * math.sqrt(expected / CHANCE.resamples))


def test_images_of_a_group_change_sides_together():
    labels = labels_of("lidc", [50, 50])
    ours = with_errors(labels, 4, classes=2)
    groups = np.arange(100) % 50
    tables = [predictions("lidc", d, labels=labels, groups=groups) for d in (ours, labels)]
    pair = paired(*(read(table) for table in tables))
    p = swap_p_value(pair, score_differences(pair), training_sd=0.0, chance=CHANCE)
    assert p == pytest.approx(1 / 2**4, abs=0.01)  # eight images, but four groups


def test_a_lucky_training_makes_a_loss_less_surprising():
    pair = worse_by(10)
    seen = score_differences(pair)
    ps = [swap_p_value(pair, seen, training_sd=sd, chance=CHANCE) for sd in (0.0, 0.03, 0.1)]
    assert ps[0] < 1e-3 < ps[1] < 0.06 < ps[2]
    # Nearly all of it is the training's luck: a normal deviation of sqrt(2) sd.
    assert ps[2] == pytest.approx(
        norm.cdf(-0.1 / math.hypot(math.sqrt(20) / 200, 0.1 * math.sqrt(2))), abs=0.02
    )


def test_where_no_decision_differs_nothing_is_surprising():
    pair = worse_by(0)
    assert swap_p_value(pair, score_differences(pair), training_sd=0.0, chance=CHANCE) == 1.0


def test_a_gain_is_no_loss():
    pair = worse_by(10)
    turned = Pair(pair.reference, pair.candidate)
    assert swap_p_value(turned, score_differences(turned), training_sd=0.0, chance=CHANCE) > 0.5


def test_the_upper_bound_is_that_of_a_binomial():
    # Of 2 × 100 images 20 are lost and none is gained: the difference is −(lost) / 200 in a resample.
    pair = worse_by(10, per_class=100)
    seen = score_differences(pair)
    bound = upper_bounds(pair, seen, CHANCE)["balanced_accuracy"]
    assert seen["balanced_accuracy"] == pytest.approx(-0.1)
    assert bound == pytest.approx(-binom.ppf(0.05, 200, 0.1) / 200, abs=0.006)
    assert upper_bounds(pair, seen, CHANCE)["mcc"] > seen["mcc"]


def test_seeds_that_differ_as_coins_fall_have_no_spread_of_their_own():
    random = np.random.default_rng(0)
    one = read(predictions("lidc", labels_of("lidc", [200, 200]), labels=labels_of("lidc", [200, 200])))
    seeds = 300

    def trainings(luck):
        right = random.random((seeds, 400)) > 0.2 + luck * random.standard_normal((seeds, 1))
        decided = np.where(right, one.labels, 1 - one.labels)
        return seed_spread(replace(one, seeds=tuple(range(seeds)), probabilities=np.eye(2)[decided]))

    # The coins alone make a deviation of 0.02; so many seeds tell it from none to within 0.006.
    assert trainings(0.0) < 0.012
    assert trainings(0.03) == pytest.approx(0.03, rel=0.15)


def test_the_spread_by_hand():
    # Seed 1 loses four images that seed 0 has right: D = 4/200 · 1, V = 4/200².
    tables = [table_of(CELL, errors=0, seed=0), table_of(CELL, errors=2, seed=1)]
    assert seed_spread(read(*tables)) == pytest.approx(math.sqrt((16 - 4) / 200**2 / 2))
    assert seed_spread(read(tables[0])) == 0.0


def test_the_detectable_loss_by_hand():
    pair = worse_by(2)  # V = 4/200², and an image weighs 1/200
    z = norm.ppf(0.95) + norm.ppf(0.8)
    loss = detectable_loss(pair, margin=0.0, training_sd=0.01, chance=CHANCE, comparisons=1)
    assert loss**2 == pytest.approx(z**2 * (4 / 200**2 + loss / 200 + 2 * 0.01**2))
    more = detectable_loss(pair, margin=0.0, training_sd=0.01, chance=CHANCE, comparisons=12)
    z = norm.ppf(1 - 0.05 / 12) + norm.ppf(0.8)
    assert more**2 == pytest.approx(z**2 * (4 / 200**2 + more / 200 + 2 * 0.01**2))
    assert detectable_loss(pair, margin=0.5, training_sd=0.01, chance=CHANCE, comparisons=1) > 0.5
    assert detectable_loss(pair, margin=0.0, training_sd=0.9, chance=CHANCE, comparisons=1) == 1.0
