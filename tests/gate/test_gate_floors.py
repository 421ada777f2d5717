"""Degenerate classifiers: in single folds, and over all of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gate_tables import CELL, ROOT, labels_of, predictions, table_of
from known import DATASETS

from lung_attention.cells import FACTORS, Cell
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.files import read_table
from lung_attention.gate.floors import degenerate_parts, floor_breaches

COMMITTED = ROOT / "results" / "local" / "cells"
CELLS = sorted(
    path.name
    for dataset in ("lidc_nodules", "iqoth")
    for path in COMMITTED.glob(f"{dataset}-*-grouped")
)  # fmt: skip


def committed(name):
    cell = Cell(*name.split("-"))
    assert len(name.split("-")) == len(FACTORS)
    return predictions_to_arrays(
        read_table(Path(COMMITTED / name / "predictions.csv")), DATASETS[cell.dataset].labels
    )


def with_constant(side, fold, of_class, *, sure=0.6):
    """One fold of five of the first training replaced by a constant, the same for all of its images."""
    classes = len(side.classes)
    constant = np.full(classes, (1 - sure) / (classes - 1))
    constant[of_class] = sure
    probabilities = side.probabilities.copy()
    probabilities[0, side.folds[0] == fold] = constant
    return replace(side, probabilities=probabilities)


@pytest.mark.parametrize("name", CELLS)
def test_a_constant_in_one_fold_of_five_is_found_whatever_its_class(name):
    side = committed(name)
    assert len(CELLS) >= 12
    assert not degenerate_parts(side, side, floor=0.51).breaches
    for fold in range(5):
        before = np.unique(side.predicted[0][side.folds[0] == fold])
        for k, of_class in enumerate(side.classes):
            found = degenerate_parts(with_constant(side, fold, k), side, floor=0.4)
            already = len(before) == 1  # a fold that is a constant in the committed results fails nobody
            where = f"fold {fold}, seed {side.seeds[0]}" if len(side.seeds) > 1 else f"fold {fold}"
            assert any(f"{where}: all" in text for text in found.breaches) != already, (fold, of_class)
            assert any("so it was in the reference" in text for text in found.notes) >= already


def test_without_a_reference_a_constant_fold_fails_too():
    side = committed(CELLS[0])
    assert not degenerate_parts(side, None, floor=0.4).breaches
    [breach] = degenerate_parts(with_constant(side, 1, 0), None, floor=0.4).breaches
    assert breach == "fold 1: all 219 images are decided as normal"


def table(decided, *, labels, fold, seed=0, groups=None, sure=0.9):
    return predictions("lidc", decided, labels=labels, fold=fold, seed=seed, groups=groups, sure=sure)


def read(frame):
    return predictions_to_arrays(frame, DATASETS["lidc"].labels)


LABELS = labels_of("lidc", [40, 40])
FOLDS = np.arange(80) % 2
GOOD = np.where(np.arange(80) % 10 < 2, 1 - LABELS, LABELS)  # 80 % in both folds


def test_nearly_equal_probabilities_are_a_constant_though_decisions_differ():
    side = read(table(GOOD, labels=LABELS, fold=FOLDS))
    noise = np.random.default_rng(0).uniform(-2e-4, 2e-4, 80)
    flat = side.probabilities.copy()
    flat[0, side.folds[0] == 0] = np.stack([0.5 + noise, 0.5 - noise], axis=1)[side.folds[0] == 0]
    [breach] = degenerate_parts(replace(side, probabilities=flat), side, floor=0.4).breaches
    assert breach == "fold 0: all 40 images have the same probabilities within 0.001"


def test_a_fold_of_one_class_is_no_constant():
    fold = (np.arange(80) >= 40).astype(int)
    side = read(table(LABELS, labels=LABELS, fold=fold))
    assert not degenerate_parts(side, None, floor=0.51).breaches


@pytest.mark.parametrize("clusters", [4, 5])
def test_few_clusters_do_not_tell_a_constant_from_chance(clusters):
    groups = [f"{label}-{k % clusters}" for k, label in enumerate(LABELS)]
    side = read(table(GOOD, labels=LABELS, fold=0, groups=groups))
    always = read(table(np.zeros(80, int), labels=LABELS, fold=0, groups=groups))
    texts = degenerate_parts(always, side, floor=0.0).breaches
    assert any("are decided as" in text for text in texts) == (clusters >= 5)


def test_a_class_that_is_predicted_no_more():
    labels = labels_of("iqoth", [40, 40, 20])

    def of(decided):
        return predictions_to_arrays(
            predictions("iqoth", decided, labels=labels, fold=np.arange(100) % 2), DATASETS["iqoth"].labels
        )

    never = of(np.where(labels == 2, 0, labels))
    found = degenerate_parts(never, of(labels), floor=0.34)
    assert found.breaches == [
        f"{where}: benign is never predicted; the reference did so for {images} images"
        for where, images in (("fold 0", 10), ("fold 1", 10), ("all test images", 20))
    ]
    rarely = np.where(labels == 2, 0, labels)
    rarely[[80, 82, 84]] = 2  # three images of fold 0: chance
    found = degenerate_parts(never, of(rarely), floor=0.34)
    assert not found.breaches
    assert "which are 3 independent ones: may be chance" in found.notes[0]
    assert not degenerate_parts(never, of(never.predicted[0]), floor=0.34).breaches
    assert not degenerate_parts(of(labels), never, floor=0.34).breaches


def test_a_fold_below_its_floor():
    side = read(table(GOOD, labels=LABELS, fold=FOLDS))
    rows = FOLDS == 0

    def with_right(share):
        """Fold 0 is right in a share of the images of each class."""
        decided = GOOD.copy()
        for k in (0, 1):
            of_class = np.flatnonzero(rows & (k == LABELS))
            decided[of_class] = k
            decided[of_class[: round((1 - share) * len(of_class))]] = 1 - k
        return read(table(decided, labels=LABELS, fold=FOLDS))

    # The reference was above, beyond sampling error.
    [breach] = degenerate_parts(with_right(0.5), side, floor=0.51).breaches
    assert breach == (
        "fold 0: balanced accuracy 0.500 is not above 0.510; "
        "the reference's 0.800 was, by more than sampling error"
    )
    # It was there already, or so near that chance explains both.
    for before in (0.5, 0.6):
        assert not degenerate_parts(with_right(0.5), with_right(before), floor=0.51).breaches
    assert not degenerate_parts(with_right(0.5), None, floor=0.51).breaches
    # By more than sampling error, whatever the reference was; unless it was so low, too.
    [breach] = degenerate_parts(with_right(0.2), None, floor=0.51).breaches
    assert breach.endswith("by more than sampling error")
    assert degenerate_parts(with_right(0.2), with_right(0.6), floor=0.51).breaches
    found = degenerate_parts(with_right(0.2), with_right(0.2), floor=0.51)
    assert not found.breaches and "so it was in the reference" in found.notes[0]


def test_every_seed_is_looked_at():
    good = [table(GOOD, labels=LABELS, fold=FOLDS, seed=seed) for seed in (0, 1)]
    broken = table(np.where(FOLDS == 1, 1, GOOD), labels=LABELS, fold=FOLDS, seed=1)
    [breach] = degenerate_parts(read(pd.concat([good[0], broken])), read(pd.concat(good)), floor=0.4).breaches
    assert breach == "fold 1, seed 1: all 40 images are decided as benign"


def test_a_majority_vote_is_below_every_floor():
    assert len(floor_breaches({"balanced_accuracy": 0.5, "mcc": 0.0}, floor=0.5)) == 2
    assert floor_breaches({"balanced_accuracy": 0.51, "mcc": 0.01}, floor=0.5) == []
    [breach] = floor_breaches({"balanced_accuracy": 0.59, "mcc": 0.2}, floor=0.6)
    assert "0.590 is not above 0.600" in breach
    assert floor_breaches({"balanced_accuracy": float("nan"), "mcc": float("nan")}, floor=0.5)


def test_equal_predictions_breach_nothing():
    side = read(table_of(CELL))
    assert degenerate_parts(side, side, floor=0.51).breaches == []
