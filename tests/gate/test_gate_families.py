"""The rule on families of cells as they are committed: re-runs, and losses planted in their predictions."""

import math
from dataclasses import replace

import numpy as np
import pytest
from gate_tables import ROOT
from known import CONFIG, DATASETS, PROFILES

from lung_attention.cells import Cell
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.files import read_table
from lung_attention.gate.chance import seed_spread
from lung_attention.gate.command import luck_of, rule_of
from lung_attention.gate.pairing import Pair
from lung_attention.gate.rules import Verdict, compare_pairs

FAMILIES = ("sample", "local")


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    """Of each cell of a profile its committed predictions, and what is taken for a training's luck."""
    folders = sorted((ROOT / "results" / request.param / "cells").glob("*/predictions.csv"))
    sides = {
        path.parent.name: predictions_to_arrays(
            read_table(path), DATASETS[path.parent.name.split("-")[0]].labels
        )
        for path in folders
    }
    assert sides
    return request.param, sides


def judged(family, candidates):
    profile, sides = family
    settings = PROFILES[profile]
    cells = {name: Cell(*name.split("-")) for name in candidates}
    luck = {
        name: luck_of(settings.training_sd(CONFIG.catalog[cell.dataset])).at_least(seed_spread(sides[name]))
        for name, cell in cells.items()
    }
    return compare_pairs(
        {name: Pair(candidate, sides[name]) for name, candidate in candidates.items()},
        luck,
        rule_of(settings.gate),
        datasets={name: cell.dataset for name, cell in cells.items()},
    )


def lost(side, points, *, random):
    """Predictions that lose at least so many points of each class's sensitivity, in clusters drawn at random.

    A lost image has the probabilities of its class and of its most probable other class exchanged.
    """
    probabilities = side.probabilities.copy()
    codes, n_clusters = side.clusters()
    for of_seed in probabilities:
        order = random.permutation(n_clusters)[codes]
        for k in range(len(side.classes)):
            rows = np.flatnonzero((side.labels == k) & (of_seed.argmax(axis=1) == k))
            of_class = int((side.labels == k).sum())
            rows = rows[np.argsort(order[rows], kind="stable")][: math.ceil(points * of_class)]
            others = of_seed[rows].copy()
            others[:, k] = -1
            best = others.argmax(axis=1)
            of_seed[rows, k], of_seed[rows, best] = of_seed[rows, best], of_seed[rows, k].copy()
    return replace(side, probabilities=probabilities)


def other_seeds(side):
    """The same trainings in another order: an equal re-run with other seeds, where there are several."""
    return replace(side, probabilities=np.roll(side.probabilities, 1, axis=0))


def test_equal_reruns_of_committed_trainings_are_no_regression(family):
    _, sides = family
    several = {name: other_seeds(side) for name, side in sides.items() if len(side.seeds) > 1}
    found = judged(family, several)
    assert len(several) >= 4 and found.pooled is not None
    assert not any(result.verdict is Verdict.REGRESSION for result in found.cells.values())
    assert not found.pooled.regression


def test_single_seeds_against_each_other_are_no_regression(family):
    """Not averaged: one training against another of the same code."""
    _, sides = family
    several = {name: side for name, side in sides.items() if len(side.seeds) > 1}

    def only(side, k):
        return replace(
            side, seeds=(0,), folds=side.folds[[k]], probabilities=side.probabilities[[k]]
        )  # fmt: skip

    for ours, theirs in ((0, 1), (1, 0)):
        references = {name: only(side, theirs) for name, side in several.items()}
        found = judged((family[0], references), {name: only(side, ours) for name, side in several.items()})
        assert not any(result.verdict is Verdict.REGRESSION for result in found.cells.values())
        assert not found.pooled.regression


def test_two_points_lost_in_every_cell_fail_together(family):
    _, sides = family
    random = np.random.default_rng(0)
    found = judged(family, {name: lost(side, 0.02, random=random) for name, side in sides.items()})
    assert found.pooled.cells == len(sides)
    # Small test sets lose whole images.
    assert found.pooled.differences["balanced_accuracy"] < -0.02
    assert found.pooled.regression
    single = sum(result.verdict is Verdict.REGRESSION for result in found.cells.values())
    assert single < len(sides) / 3, "most of it is seen only together"
