"""Each plot on its own: it draws what it is given and returns the axes."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from lung_attention.plots.confusion import confusion_matrix, count_text
from lung_attention.plots.curves import learning_curves, roc
from lung_attention.plots.images import image_strip
from lung_attention.plots.lanes import Estimate, Lane, draw_lanes


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


def test_lanes_stand_from_the_top_with_their_numbers_beside_them(ax):
    lanes = [
        Lane("published", "90.0 %", [Estimate("one net", 0.9, 0.8, 0.95)], "given"),
        Lane("ours", "60 to 70 %", [Estimate("one net", 0.6, 0.5, 0.7), Estimate("another", 0.7)], "first"),
    ]
    best = Lane("best baseline", "85.0 %  histogram", [Estimate("", 0.85)], "baseline")
    assert draw_lanes(ax, [("first", lanes), ("second", [best])], what="accuracy, %") is ax
    assert [label.get_text() for label in ax.get_yticklabels()] == ["published", "ours", "best baseline"]
    assert list(ax.get_yticks()) == sorted(ax.get_yticks())
    assert ax.yaxis_inverted()
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["first", "90.0 %", "60 to 70 %", "second", "85.0 %  histogram"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one net", "another"]
    lines = [line.get_xdata().tolist() for line in ax.lines]
    assert [line for line in lines if len(line) == 2] == [pytest.approx([80, 95]), pytest.approx([50, 70])]
    assert [line for line in lines if len(line) == 1] == [pytest.approx([x]) for x in (90, 60, 70, 85)]


def test_a_strip_has_its_images_side_by_side():
    black, white = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)
    strip = image_strip([black, white])
    assert strip.shape == (8, 20, 3)
    assert strip[:, :8].max() == 0
    assert strip[:, 12:].min() == 255


@pytest.mark.parametrize("images", [[], [np.zeros((8, 8, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)]])
def test_a_strip_of_mixed_sizes_is_refused(images):
    with pytest.raises(ValueError, match="one shape"):
        image_strip(images)
