"""The figures of a search."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from lung_attention.plots.search import parameter_importances, search_history
from lung_attention.plots.search_figure import search_figure


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
