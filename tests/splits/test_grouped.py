"""The grouped protocol: no group on two sides, every image tested once."""

import warnings

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_attention.errors import UserError
from lung_attention.splits.grouped import CROSS_VALIDATION, grouped_split


def manifest_of(groups):
    """Groups as lists of labels, one an image."""
    rows = [(f"g{number}", label) for number, labels in enumerate(groups) for label in labels]
    table = pd.DataFrame(rows, columns=["group", "label"])
    table.insert(0, "image", [f"{row}.png" for row in range(len(table))])
    return table


def split(groups, folds, seed):
    manifest = manifest_of(groups)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn, of rare classes
        return manifest, grouped_split(manifest, manifest["group"], folds=folds, seed=seed)


labels = st.sampled_from(["a", "b"])
pure = st.tuples(labels, st.integers(1, 6)).map(lambda pair: [pair[0]] * pair[1])
mixed = st.lists(labels, min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    groups=st.lists(pure | mixed, max_size=20),
    folds=st.integers(2, 5),
    seed=st.integers(0, 1000),
)
def test_no_group_on_two_sides_and_every_image_tested_once(groups, folds, seed):
    # Enough groups of each class for the folds, whatever was drawn.
    manifest, table = split([["a"]] * folds + [["b"]] * folds + groups, folds, seed)
    assert list(table.columns) == ["image", "label", "group", "fold", "subset"]
    assert table[["image", "label", "group"]].equals(manifest[["image", "label", "group"]])
    assert (table.groupby("group")["fold"].nunique() == 1).all()
    assert set(table["fold"]) == set(range(folds))
    assert (table["subset"] == CROSS_VALIDATION).all()


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.lists(st.integers(1, 6), min_size=5, max_size=12), min_size=2, max_size=3),
    folds=st.integers(2, 5),
    seed=st.integers(0, 1000),
)
def test_every_class_is_tested_in_every_fold_where_groups_have_one_class(counts, folds, seed):
    groups = [[name] * count for name, sizes in zip("abc", counts, strict=False) for count in sizes]
    _, table = split(groups, folds, seed)
    assert (pd.crosstab(table["fold"], table["label"]) > 0).all(axis=None)


GROUPS = [["a"] * (1 + n % 4) for n in range(12)] + [["b"] * (1 + n % 3) for n in range(12)]


def test_the_seed_decides():
    first, again, other = (split(GROUPS, 4, seed)[1]["fold"].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_folds_are_alike_in_size_and_class():
    _, table = split(GROUPS, 4, 0)
    counts = pd.crosstab(table["fold"], table["label"])
    assert (counts.max() - counts.min() <= 4).all()


def test_too_few_groups_of_a_class_are_refused():
    with pytest.raises(UserError, match=r"class 'b' has 2 groups, fewer than the 3 folds") as caught:
        split([["a"] * 5] * 6 + [["b"] * 9] * 2, 3, 0)
    assert "split.folds" in caught.value.remedy


def test_rows_of_groups_are_taken_by_position_not_by_index():
    manifest = manifest_of(GROUPS)
    groups = manifest["group"].copy()
    groups.index = groups.index[::-1]
    expected = grouped_split(manifest, manifest["group"], folds=3, seed=0)
    pd.testing.assert_frame_equal(grouped_split(manifest, groups, folds=3, seed=0), expected)


def test_a_fold_without_a_class_is_refused():
    # Two groups of each class, but a group of both classes draws the other images of one class to its side.
    groups = [["b"], ["a"] * 8, ["b"] * 3, ["a"] * 4 + ["b"] * 3]
    for seed in range(20):
        try:
            _, table = split(groups, 2, seed)
        except UserError:
            continue
        assert (pd.crosstab(table["fold"], table["label"]) > 0).all(axis=None)


def test_a_dataset_of_one_image_is_refused():
    with pytest.raises(UserError, match="class 'a' has 1 groups, fewer than the 2 folds"):
        split([["a"]], 2, 0)
