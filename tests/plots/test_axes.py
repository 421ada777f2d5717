"""Each plot on its own: it draws what it is given and returns the axes."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from lung_attention.plots.confusion import confusion_matrix, count_text
from lung_attention.plots.curves import learning_curves, roc
from lung_attention.plots.images import image_grid
from lung_attention.plots.intervals import Estimate, intervals, looks_of


@pytest.fixture
def ax():
    return Figure().subplots()


def test_confusion_matrix_writes_counts_and_row_shares(ax):
    assert confusion_matrix(ax, [[3, 1], [0, 0]], ["a_b", "c"]) is ax
    assert [text.get_text() for text in ax.texts] == ["3\n75.0%", "1\n25.0%", "0\n0.0%", "0\n0.0%"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a b", "c"]
    assert ax.get_ylabel() == "true class"


def test_confusion_matrix_refuses_another_shape(ax):
    with pytest.raises(ValueError, match=r"\(3, 3\).*\(2, 2\)"):
        confusion_matrix(ax, [[1, 0], [0, 1]], ["a", "b", "c"])


@pytest.mark.parametrize(("count", "text"), [(17, "17"), (16.5, "16.5"), (16.999999, "17"), (1 / 3, "0.3")])
def test_counts_are_whole_unless_they_are_means(count, text):
    assert count_text(count) == text


def test_roc_is_that_of_the_numbers(ax):
    # Scores .9 .8 .3 of positives, .8 .1 of negatives: pairs won 1+1+.5+1+1+0 of 6 = .75 (by hand).
    labels = np.array([0, 0, 0, 1, 1])
    score = np.array([0.9, 0.8, 0.3, 0.8, 0.1])
    assert roc(ax, labels, np.stack([score, 1 - score], axis=1), ["ill", "well"]) is ax
    assert ax.get_legend().get_texts()[0].get_text() == "ill: 0.750"
    x, y = ax.lines[1].get_data()
    assert np.trapezoid(y, x) == pytest.approx(0.75)
    assert (x[0], y[0]) == (0, 0)
    assert (x[-1], y[-1]) == (1, 1)


def test_roc_of_several_seeds_is_their_vertical_mean(ax):
    labels = np.array([0, 0, 1, 1])
    perfect, reverse = np.array([0.9, 0.8, 0.2, 0.1]), np.array([0.1, 0.2, 0.8, 0.9])
    probabilities = np.stack([np.stack([score, 1 - score], axis=1) for score in (perfect, reverse)])
    roc(ax, labels, probabilities, ["ill", "well"])
    assert ax.get_legend().get_texts()[0].get_text() == "ill: 0.500"
    x, y = ax.lines[1].get_data()
    assert np.trapezoid(y, x) == pytest.approx(0.5)
    np.testing.assert_allclose(y[(x > 0) & (x < 1)], 0.5)


def test_roc_names_an_absent_class(ax):
    probabilities = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3]])
    roc(ax, np.array([0, 1]), probabilities, ["a", "b", "c"])
    assert ax.get_legend().get_texts()[2].get_text() == "c: undefined"


def test_learning_curves_leave_out_what_nobody_monitored(ax):
    learning_curves(ax, [1, 2], [[3.0, 1.0], [1.0, 1.0]], np.full((2, 2), np.nan), what="loss")
    assert [line.get_label() for line in ax.lines] == ["trained on"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2, 1])


def test_intervals_stand_in_rows_from_the_top(ax):
    rows = [
        ("first", [Estimate("published result", 0.9, 0.8, 0.95)]),
        ("second", [Estimate("published result", 0.7), Estimate("plain, grouped split", 0.6, 0.5, 0.7)]),
    ]
    assert (
        intervals(ax, rows, what="accuracy", looks=looks_of(("plain", "attention"), ("published", "grouped")))
        is ax
    )
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    assert ax.yaxis_inverted()
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["published result", "plain, grouped split"]
    bars = [line.get_xdata().tolist() for line in ax.lines if len(line.get_xdata()) == 2]
    assert bars == [[0.8, 0.95], [0.5, 0.7]]


def test_image_grid_puts_a_class_in_a_row(ax):
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    assert image_grid(ax, {"one": [black, white], "two": [white]}) is ax
    canvas = ax.images[0].get_array()
    assert canvas.shape == (18, 18, 3)
    assert canvas[:8, :8].max() == 0
    assert canvas[8:].min() == 255


def test_image_grid_refuses_mixed_sizes(ax):
    with pytest.raises(ValueError, match="one shape"):
        image_grid(ax, {"one": [np.zeros((8, 8, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)]})
