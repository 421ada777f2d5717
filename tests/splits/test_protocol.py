"""What a split table asks a training to do."""

import numpy as np
import pandas as pd
import pytest

from lung_attention.splits.protocol import folds, is_cross_validation, refit
from lung_attention.splits.settings import REFIT


def table(subsets, numbers=0):
    return pd.DataFrame({"subset": subsets, "fold": numbers})


def test_a_published_split_is_one_fit_that_monitors_its_validation_rows():
    (fold,) = folds(table(["test", "train", "validation", "train", "test"]))
    assert fold.number == 0
    assert fold.train.tolist() == [1, 3]
    assert fold.monitored.tolist() == [2]
    assert fold.test.tolist() == [0, 4]


def test_without_validation_rows_the_test_rows_are_monitored():
    (fold,) = folds(table(["test", "train", "train"]))
    assert fold.monitored.tolist() == fold.test.tolist() == [0]


def test_cross_validation_tests_every_row_once_and_trains_on_all_others():
    split = table("cross_validation", [2, 0, 1, 0, 2, 2])
    assert is_cross_validation(split)
    found = list(folds(split))
    assert [fold.number for fold in found] == [0, 1, 2]
    assert sorted(np.concatenate([fold.test for fold in found]).tolist()) == list(range(6))
    for fold in found:
        assert sorted([*fold.train.tolist(), *fold.test.tolist()]) == list(range(6))
        assert fold.monitored.tolist() == fold.test.tolist()


@pytest.mark.parametrize("subsets", [["train", "test"], ["cross_validation", "test"]])
def test_only_a_whole_table_is_a_cross_validation(subsets):
    assert not is_cross_validation(table(subsets))


def test_rows_are_positions_whatever_the_index():
    split = table(["test", "train"])
    split.index = [7, 9]
    (fold,) = folds(split)
    assert fold.train.tolist() == [1]


def test_the_refit_takes_every_row_and_tests_none():
    fold = refit(table(["cross_validation"] * 3))
    assert fold.number == REFIT == -1
    assert fold.train.tolist() == [0, 1, 2]
    assert fold.monitored.size == fold.test.size == 0
