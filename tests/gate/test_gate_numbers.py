"""Numbers of the gate beside its permutation test: by hand, by scikit-learn, and by exact resamples."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gate_tables import CELL, labels_of, predictions, random_pair, table_of
from known import DATASETS
from scipy.stats import binom, norm
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef, roc_auc_score

from lung_attention.evaluation.intervals import multiplicities
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.gate.bounds import area_components, detectable_loss, resampled_gains, upper_bounds
from lung_attention.gate.chance import Chance, Luck, seed_excess, seed_spread
from lung_attention.gate.pairing import paired
from lung_attention.gate.scores import DECIDING, gains, mean_scores, score_differences, weighted_scores

CHANCE = Chance(resamples=20_000, confidence=0.95, power=0.8, seed=0)
SINGLE = {"error": 0.05, "power": 0.8}


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
    wrong = 13 / 200
    assert scores["log_loss"] == pytest.approx(-math.log(0.9) * (1 - wrong) - math.log(0.1) * wrong)
    malignant = DATASETS["lidc"].labels[1]
    areas = [
        roc_auc_score(table["label"] == malignant, table[f"probability_{malignant}"]) for table in tables
    ]  # fmt: skip
    assert scores["auroc_ovr"] == pytest.approx(np.mean(areas))


def test_a_rising_log_loss_is_a_negative_gain():
    differences = dict(zip(DECIDING, (0.1, -0.2, 0.3, 0.4), strict=True))
    assert gains(differences).tolist() == [0.1, -0.2, 0.3, -0.4]


def test_the_upper_bound_is_that_of_a_binomial():
    # Of 2 × 100 images 20 are lost and none is gained: the difference is −(lost) / 200 in a resample.
    pair = worse_by(10, per_class=100)
    seen = gains(score_differences(pair))
    bounds = dict(zip(DECIDING, upper_bounds(pair, seen, CHANCE), strict=True))
    assert seen[0] == pytest.approx(-0.1)
    assert bounds["balanced_accuracy"] == pytest.approx(-binom.ppf(0.05, 200, 0.1) / 200, abs=0.006)
    assert bounds["mcc"] > seen[1]
    # Of log loss ln 9 goes with each lost image.
    assert bounds["log_loss"] == pytest.approx(bounds["balanced_accuracy"] * math.log(9), abs=0.02)


@pytest.mark.parametrize("classes", [2, 3])
def test_linearised_areas_are_nearly_those_of_exact_resamples(classes):
    chance = replace(CHANCE, resamples=2000)
    pair = random_pair(5, classes=classes, n=240, groups=np.arange(240) // 2)
    [weights] = [np.concatenate(list(multiplicities(120, resamples=2000, seed=0)), axis=1)]
    exact = np.subtract(
        *(
            weighted_scores(side, rank=True)[0](weights)["auroc_ovr"]
            for side in (pair.candidate, pair.reference)
        )
    )
    linear = resampled_gains(pair, chance)["auroc_ovr"]
    assert np.corrcoef(exact, linear)[0, 1] > 0.99
    assert linear.std() == pytest.approx(exact.std(), rel=0.03)
    assert np.quantile(linear, 0.95) == pytest.approx(np.quantile(exact, 0.95), abs=0.1 * exact.std())


def test_components_average_to_the_area():
    pair = random_pair(6, classes=2, n=50)
    side = pair.candidate
    [[components]] = area_components(side)
    area = roc_auc_score(side.labels, side.probabilities[0][:, 1])
    for k in (0, 1):
        assert components[side.labels == k].mean() == pytest.approx(area)


def test_seeds_that_differ_as_coins_fall_have_no_spread_of_their_own():
    random = np.random.default_rng(0)
    one = read(predictions("lidc", labels_of("lidc", [200, 200]), labels=labels_of("lidc", [200, 200])))
    seeds = 300

    def trainings(luck):
        right = random.random((seeds, 400)) > 0.2 + luck * random.standard_normal((seeds, 1))
        decided = np.where(right, one.labels, 1 - one.labels)
        probabilities = 0.8 * np.eye(2)[decided] + 0.1
        return seed_spread(replace(one, seeds=tuple(range(seeds)), probabilities=probabilities))

    # The coins alone make a deviation of 0.02; so many seeds tell it from none to within 0.006.
    assert trainings(0.0).balanced_accuracy < 0.012
    lucky = trainings(0.03)
    assert lucky.balanced_accuracy == pytest.approx(0.03, rel=0.15)
    # A decision costs ln 9, so the same luck has that much more of log loss.
    assert lucky.log_loss == pytest.approx(0.03 * math.log(9), rel=0.15)


def test_the_spread_by_hand():
    # Seed 1 loses four images that seed 0 has right: D = 4/200 · 1, V = 4/200².
    tables = [table_of(CELL, errors=0, seed=0), table_of(CELL, errors=2, seed=1)]
    expected = (16 - 4) / 200**2 / 2
    assert seed_excess(read(*tables)).tolist() == [
        [pytest.approx(expected)], [pytest.approx(expected * math.log(9) ** 2)],
    ]  # fmt: skip
    assert seed_spread(read(*tables)).balanced_accuracy == pytest.approx(math.sqrt(expected))
    assert seed_spread(read(tables[0])) == Luck(0.0, 0.0)


def test_luck_is_as_large_as_said_and_that_of_log_loss_its_own():
    luck = Luck(0.01, 0.2)
    drawn = luck.draws(classes=3, seeds=4, resamples=100_000, random=np.random.default_rng(0))
    of_one_mean = math.sqrt(2 / 4)
    assert drawn.std(axis=1) == pytest.approx(
        np.asarray([0.01, 0.015, 0.01 * math.sqrt(2), 0.2]) * of_one_mean, rel=0.02
    )  # fmt: skip
    correlation = np.corrcoef(drawn)
    assert correlation[0, 1] == pytest.approx(1) and correlation[0, 3] == pytest.approx(0, abs=0.02)
    assert luck.at_least(Luck(0.02, 0.1)) == Luck(0.02, 0.2)


def test_the_detectable_loss_by_hand():
    pair = worse_by(2)  # V = 4/200², and an image weighs 1/200
    z = norm.ppf(0.95) + norm.ppf(0.8)
    loss = detectable_loss(pair, margin=0.0, training_sd=0.01, **SINGLE)
    assert loss**2 == pytest.approx(z**2 * (4 / 200**2 + loss / 200 + 2 * 0.01**2))
    more = detectable_loss(pair, margin=0.0, training_sd=0.01, error=0.05 / 12, power=0.8)
    z = norm.ppf(1 - 0.05 / 12) + norm.ppf(0.8)
    assert more**2 == pytest.approx(z**2 * (4 / 200**2 + more / 200 + 2 * 0.01**2))
    assert detectable_loss(pair, margin=0.5, training_sd=0.01, **SINGLE) > 0.5
    assert detectable_loss(pair, margin=0.0, training_sd=0.9, **SINGLE) == 1.0
