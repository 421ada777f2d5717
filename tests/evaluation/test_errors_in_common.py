"""Errors that all classifiers make, counted and ranked by hand."""

import numpy as np
import pandas as pd
import pytest

from lung_attention.errors import UserError
from lung_attention.evaluation.errors_in_common import errors_in_common
from lung_attention.evaluation.predictions import predictions_to_arrays

CLASSES = ("normal", "malignant", "benign")


def cell(rows, *, seed=0):
    """A cell of rows of image, label, group and the probabilities of the classes."""
    table = pd.DataFrame(rows, columns=["image", "label", "group", *CLASSES])
    probabilities = table[list(CLASSES)].to_numpy()
    table = table.rename(columns={name: f"probability_{name}" for name in CLASSES})
    table["prediction"] = np.asarray(CLASSES)[probabilities.argmax(axis=1)]
    return predictions_to_arrays(table.assign(fold=0, seed=seed), CLASSES)


FIRST = [
    ("a", "normal", "p", 0.02, 0.95, 0.03),  # wrong by both, sure
    ("b", "normal", "p", 0.01, 0.98, 0.01),  # the same group, surer
    ("c", "normal", "q", 0.10, 0.20, 0.70),  # wrong by both, for another class
    ("d", "normal", "r", 0.02, 0.97, 0.01),  # wrong by the first alone
    ("e", "malignant", "s", 0.02, 0.95, 0.03),
    ("f", "malignant", "s", 0.20, 0.60, 0.20),
]
SECOND = [
    ("a", "normal", "p", 0.04, 0.93, 0.03),
    ("b", "normal", "p", 0.01, 0.94, 0.05),
    ("c", "normal", "q", 0.30, 0.60, 0.10),  # taken for malignant here, for benign there
    ("d", "normal", "r", 0.95, 0.03, 0.02),
    ("e", "malignant", "s", 0.95, 0.03, 0.02),
    ("f", "malignant", "s", 0.02, 0.95, 0.03),
]


def test_errors_are_counted_for_each_classifier_and_those_in_common_ranked():
    found = errors_in_common([cell(FIRST), cell(SECOND)], shown=3)
    assert list(found) == list(CLASSES)
    normal = found["normal"]
    assert (normal.images, normal.in_common) == (4, 3)
    assert normal.wrong.tolist() == [4, 3]
    assert normal.sure_wrong.tolist() == [3, 2]
    assert normal.sure_right.tolist() == [0, 1]
    # b before a of the same group, which is left out; c by the class of the highest mean: .4 and .4 is a tie,
    # which falls to the first class.
    assert [(one.image, one.group, one.taken_for) for one in normal.surest] == [
        ("b", "p", "malignant"), ("c", "q", "malignant"),
    ]  # fmt: skip
    assert normal.surest[0].probability == pytest.approx(0.96)
    assert normal.surest[1].probability == pytest.approx(0.4)
    assert found["malignant"].surest == []
    assert found["malignant"].wrong.tolist() == [0, 1]
    assert found["malignant"].sure_right.tolist() == [1, 1]
    assert found["benign"].images == 0
    assert [one.image for one in errors_in_common([cell(FIRST)], shown=1)["normal"].surest] == ["b"]


def test_each_seed_is_a_classifier_of_its_own():
    first, second = pd.DataFrame(FIRST), pd.DataFrame(SECOND)
    rows = pd.concat([first.assign(seed=0), second.assign(seed=1)])
    rows.columns = ["image", "label", "group", *(f"probability_{name}" for name in CLASSES), "seed"]
    codes = rows.filter(like="probability_").to_numpy().argmax(axis=1)
    table = rows.assign(prediction=np.asarray(CLASSES)[codes], fold=0)
    seeds = errors_in_common([predictions_to_arrays(table, CLASSES)], shown=3)["normal"]
    cells = errors_in_common([cell(FIRST), cell(SECOND)], shown=3)["normal"]
    assert seeds.wrong.tolist() == cells.wrong.tolist()
    assert seeds.surest == cells.surest


def test_the_true_class_is_never_what_an_image_is_taken_for():
    first = [("a", "normal", "", 0.45, 0.55, 0.0), ("b", "benign", "", 0.0, 0.1, 0.9)]
    second = [("a", "normal", "", 0.45, 0.0, 0.55), ("b", "benign", "", 0.0, 0.1, 0.9)]
    (one,) = errors_in_common([cell(first), cell(second)], shown=1)["normal"].surest
    assert (one.taken_for, one.probability) == ("malignant", pytest.approx(0.275))


def test_images_without_a_group_stand_for_themselves():
    rows = [(name, label, "", *p) for name, label, _, *p in FIRST]
    assert [one.image for one in errors_in_common([cell(rows)], shown=3)["normal"].surest] == ["b", "d", "a"]


def test_cells_of_other_images_or_labels_are_refused():
    other = [("x", *row[1:]) if row[0] == "f" else row for row in SECOND]
    relabelled = [(row[0], "benign", *row[2:]) if row[0] == "f" else row for row in SECOND]
    for rows in (other, relabelled, SECOND[:-1]):
        with pytest.raises(UserError, match="different images"):
            errors_in_common([cell(FIRST), cell(rows)], shown=3)
