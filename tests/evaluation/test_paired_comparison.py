"""Two cells on the same images: what the changed one gains or loses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lung_attention.errors import UserError
from lung_attention.evaluation.measured import Bootstrap
from lung_attention.evaluation.paired_comparison import SCORES, compare_pair

CLASSES = ("malignant", "benign")  # of lidc_nodules, in label order
BOOTSTRAP = Bootstrap(resamples=300, confidence=0.95, bins=5, seed=0)


def predictions(right_probability, *, seed=0, n=60):
    """Out-of-fold predictions of `n` images in groups of three, right where the array says above one half."""
    label = np.arange(n) // 3 % 2
    p_malignant = np.where(label == 0, right_probability, 1 - right_probability)
    table = pd.DataFrame(
        {
            "image": [f"{number:03}.png" for number in range(n)],
            "label": np.asarray(CLASSES)[label],
            "group": [f"p{number // 3}" for number in range(n)],
            "fold": np.arange(n) // 3 % 5,
            "seed": seed,
        }
    )
    table["prediction"] = np.asarray(CLASSES)[(p_malignant < 0.5).astype(int)]
    return table.assign(probability_malignant=p_malignant, probability_benign=1 - p_malignant)


def compared(tuned, default):
    tables = (BOOTSTRAP.measure(table, CLASSES) for table in (tuned, default))
    return compare_pair(*tables, names=("tuned", "default"), grouped=True, confidence=0.95)


def sure(n_right, n=60):
    return np.where(np.arange(n) < n_right, 0.8, 0.3)


def test_a_gain_is_tuned_minus_default_with_an_interval_around_it():
    found = compared(predictions(sure(54)), predictions(sure(36)))
    accuracy = found["differences"]["accuracy"]
    assert accuracy["tuned"] == pytest.approx(0.9)
    assert accuracy["default"] == pytest.approx(0.6)
    assert accuracy["difference"] == pytest.approx(0.3)
    assert 0 < accuracy["low"] < 0.3 < accuracy["high"] < 1
    assert found["tuned_better"] == 6
    assert found["default_better"] == 0
    assert found["p_value"] == pytest.approx(2 / 2**6)
    assert found["differences"]["log_loss"]["difference"] < 0
    assert (found["n_test"], found["n_groups"], found["seeds"]) == (60, 20, {"tuned": 1, "default": 1})


def test_a_loss_is_told_as_well():
    found = compared(predictions(sure(36)), predictions(sure(54)))
    assert found["differences"]["accuracy"]["difference"] == pytest.approx(-0.3)
    assert (found["tuned_better"], found["default_better"]) == (0, 6)


def test_equal_predictions_differ_by_nothing_but_not_surely():
    same = predictions(sure(48))
    found = compared(same, same)
    for score in SCORES:
        assert found["differences"][score]["difference"] == 0
    assert found["differences"]["accuracy"]["low"] < 0 < found["differences"]["accuracy"]["high"]
    assert found["p_value"] == 1


def test_other_images_are_refused():
    with pytest.raises(UserError, match="differ in their images"):
        compared(predictions(sure(48)), predictions(sure(40, 57), n=57))
