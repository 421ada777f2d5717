"""Values in a table of predictions that are none, refused by image and column."""

import pandas as pd
import pytest

from lung_attention.errors import UserError
from lung_attention.evaluation.predictions import predictions_to_arrays

CLASSES = ("benign", "malignant")


def table():
    return pd.DataFrame(
        {
            "image": ["a", "b"], "label": CLASSES, "group": ["", ""], "fold": [0, 1], "seed": [0, 0],
            "prediction": CLASSES, "probability_benign": [0.9, 0.2], "probability_malignant": [0.1, 0.8],
        }
    )  # fmt: skip


@pytest.mark.parametrize("column", ["fold", "seed", "probability_benign"])
@pytest.mark.parametrize("value", ["yes", "", None, float("nan"), [1]])
def test_what_is_no_number_is_refused(column, value):
    changed = table().astype(object)
    changed.at[1, column] = value
    with pytest.raises(UserError, match=rf"image 'b'.* a {column} that is no number"):
        predictions_to_arrays(changed, CLASSES)


@pytest.mark.parametrize("column", ["fold", "seed"])
@pytest.mark.parametrize("value", [1e30, -1e30, float("inf"), 0.5, 2**70])
def test_what_is_no_whole_number_is_refused(column, value):
    changed = table().astype(object)
    changed.at[1, column] = value
    with pytest.raises(UserError, match=rf"a {column} that is no whole number"):
        predictions_to_arrays(changed, CLASSES)


@pytest.mark.parametrize("value", [float("inf"), -0.1, 1.2])
def test_a_probability_outside_is_refused(value):
    changed = table()
    changed.loc[1, "probability_benign"] = value
    with pytest.raises(UserError, match=r"outside 0\.\.1"):
        predictions_to_arrays(changed, CLASSES)


def test_numbers_written_as_text_are_numbers():
    assert predictions_to_arrays(table().astype(str), CLASSES).seeds == (0,)
