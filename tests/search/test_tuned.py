"""Tuned beside default, and the figures of a search."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from lung_attention.errors import UserError
from lung_attention.evaluation.measured import Bootstrap
from lung_attention.evaluation.tuning import SCORES, compare_with_default
from lung_attention.plots.search import parameter_importances, search_history
from lung_attention.plots.search_figure import search_figure

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
    tables = (BOOTSTRAP.measure(table, "lidc_nodules") for table in (tuned, default))
    return compare_with_default(*tables, confidence=0.95)


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


def axes():
    return Figure().subplots()


def test_the_history_falls_and_shows_every_complete_trial():
    studies = {"fold-0": ([0, 1, 4], [0.9, 0.5, 0.7]), "all": ([0, 2], [0.8, 0.6])}
    ax = search_history(axes(), studies, default={"fold-0": 0.9, "all": 0.8}, what="loss")
    points, best = ax.lines[0], ax.lines[1]
    assert points.get_xdata().tolist() == [1, 2, 5]
    assert points.get_ydata().tolist() == [0.9, 0.5, 0.7]
    assert best.get_ydata().tolist() == [0.9, 0.5, 0.5]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["fold-0", "all"]
    assert ax.get_ylim()[0] < 0.5
    assert 0.9 < ax.get_ylim()[1] < 1.2


def test_the_most_important_parameter_stands_on_top():
    ax = parameter_importances(axes(), [{"dropout": 0.1, "epochs": 0.9}, {"dropout": 0.3, "l2": 0.7}, {}])
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == ["dropout", "l2", "epochs"]
    assert [bar.get_width() for bar in ax.patches] == pytest.approx([0.2, 0.35, 0.45])


def test_too_few_trials_are_said_to_be():
    assert parameter_importances(axes(), [{}, {}]).texts[0].get_text() == "too few trials"


def test_the_figure_has_a_panel_for_each(tmp_path):
    study = {
        "history": [[0, "complete", 0.9], [1, "pruned", 5.0], [2, "complete", 0.4]],
        "default_value": 0.9,
        "importances": {"epochs": 1.0},
    }
    pruned = {"history": [[0, "pruned", 9.0]], "default_value": None, "importances": {}}
    figure = search_figure({"studies": {"fold-0": study, "all": pruned}})
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == [0.9, 0.4]
    assert len(right.patches) == 1
    figure.savefig(tmp_path / "a.svg")
