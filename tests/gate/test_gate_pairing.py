"""Which predictions of candidate and reference belong together."""

import numpy as np
import pandas as pd
from gate_tables import CELL, table_of
from hypothesis import given, settings
from hypothesis import strategies as st
from known import DATASETS

from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.gate.pairing import differences, pair_seeds, paired

CLASSES = DATASETS["lidc"].labels
SEEDS = st.lists(st.integers(0, 20), min_size=1, max_size=6, unique=True)


def read(*tables):
    return predictions_to_arrays(pd.concat(tables), CLASSES)


@given(SEEDS, SEEDS)
def test_every_seed_has_at_most_one_partner_and_its_own_first(ours, theirs):
    pairs = pair_seeds(ours, theirs)
    assert len(pairs) == min(len(ours), len(theirs))
    for seeds, side in ((ours, 0), (theirs, 1)):
        used = [pair[side] for pair in pairs]
        assert len(set(used)) == len(used)
        assert set(used) <= set(seeds)
    for seed in set(ours) & set(theirs):
        assert (seed, seed) in pairs
    strangers = [pair for pair in pairs if pair[0] != pair[1]]
    assert strangers == sorted(strangers)
    assert [theirs for _, theirs in strangers] == sorted(theirs for _, theirs in strangers)


@given(SEEDS, SEEDS, st.randoms())
def test_the_order_in_which_seeds_are_named_does_not_matter(ours, theirs, random):
    before = pair_seeds(ours, theirs)
    random.shuffle(ours)
    random.shuffle(theirs)
    assert pair_seeds(ours, theirs) == before


def test_seeds_by_hand():
    assert pair_seeds([0, 1], [2, 1]) == [(0, 2), (1, 1)]
    assert pair_seeds([5, 3, 4], [1, 0]) == [(3, 0), (4, 1)]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(40)))
def test_the_order_of_rows_does_not_matter(order):
    table = table_of(CELL, per_class=20, errors=2)
    assert paired(read(table.iloc[list(order)]), read(table)).identical


def test_predictions_follow_their_seed():
    ours = read(table_of(CELL, errors=1, seed=0), table_of(CELL, errors=2, seed=1))
    theirs = read(table_of(CELL, errors=3, seed=1), table_of(CELL, errors=4, seed=2))
    pair = paired(ours, theirs)
    assert (pair.candidate.seeds, pair.reference.seeds) == ((0, 1), (2, 1))
    assert (200 - pair.candidate.right.sum(axis=1)).tolist() == [2, 4]
    assert (200 - pair.reference.right.sum(axis=1)).tolist() == [8, 6]


def test_groups_are_the_candidates():
    ours, theirs = table_of(CELL).assign(group="a"), table_of(CELL).assign(group="b")
    pair = paired(read(ours), read(theirs))
    assert set(pair.reference.groups) == {"a"}


def test_what_cannot_be_compared():
    whole = read(table_of(CELL, per_class=100))
    assert differences(whole, whole) == []
    [gone] = differences(read(table_of(CELL, per_class=99)), whole)
    assert gone.change == "images"
    assert "200 test images in the reference, 198 here" in gone.text
    relabelled = table_of(CELL)
    relabelled.loc[[3, 5, 7], "label"] = CLASSES[1]
    assert [(item.change, item.text) for item in differences(read(relabelled), whole)] == [
        ("labels", "3 of 200 test images have another label")
    ]
    moved = table_of(CELL)
    moved.loc[:9, "fold"] = 1
    assert [item.change for item in differences(read(moved), whole)] == ["folds"]


def test_equal_decisions_with_other_probabilities_are_not_identical():
    table = table_of(CELL)
    columns = [f"probability_{name}" for name in CLASSES]
    softer = table.assign(**{column: 0.5 + (table[column] - 0.5) / 2 for column in columns})
    pair = paired(read(softer), read(table))
    assert pair.decided_alike
    assert not pair.identical
    assert np.isclose(pair.candidate.probabilities.sum(axis=2), 1).all()
