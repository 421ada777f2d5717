"""Planted regressions, really trained: small heads on made-up features, in a real git repository."""

import itertools
import json
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from gate_tables import CELL, PATHS, ROOT, commit_all, new_project, write_cell
from known import DATASETS

from lung_attention.cells import Cell
from lung_attention.cli import main
from lung_attention.config import load_config
from lung_attention.evaluation.predictions import complete_predictions, predictions_to_arrays
from lung_attention.files import write_table
from lung_attention.gate.chance import Luck
from lung_attention.gate.command import rule_of
from lung_attention.gate.pairing import paired
from lung_attention.gate.rules import Verdict, compare_pairs
from lung_attention.training.recipe import EVERY, Settings

pytestmark = pytest.mark.pipeline

SECOND = Cell("lidc", "densenet121", "plain", "published", "published")
CLASSES = DATASETS[CELL.dataset].labels
TRAINED_ON, TESTED_ON = 320, 240
EPOCHS, BATCH, LEARNING_RATE = 10, 128, 0.01
HIDDEN = [16, 8, 4]  # small enough that far too large steps kill all of a layer
SEEDS = range(8)


@pytest.fixture(scope="module")
def data():
    """Features of two overlapping classes, and their split table."""
    random = np.random.default_rng(0)
    n = TRAINED_ON + TESTED_ON
    labels = np.arange(n) % 2
    features = random.standard_normal((n, 2, 2, 8))
    features += 0.45 * (2 * labels - 1)[:, None, None, None] * random.standard_normal((2, 2, 8))
    table = pd.DataFrame(
        {
            "image": [f"{k:04d}.png" for k in range(n)],
            "label": [CLASSES[k] for k in labels],
            "group": "",
            "fold": 0,
            "subset": ["train"] * TRAINED_ON + ["test"] * TESTED_ON,
        }
    )
    return features.astype(np.float16), table


def trained(data, *, seeds=(0,), epochs=EPOCHS, learning_rate=LEARNING_RATE, relabel=None, tested=TESTED_ON):
    """Predictions of a head that was really fitted; `relabel` changes the labels it is fitted on."""
    from lung_attention.training.fits import Material, fit

    features, table = data
    rows = np.arange(TRAINED_ON + tested)
    fitted_on = table.iloc[rows].copy()
    if relabel is not None:
        fitted_on = relabel(fitted_on)
    recipe = replace(
        load_config(ROOT / "params.yaml").active.train.recipe,
        epochs=epochs,
        batch_size=BATCH,
        hidden_units=tuple(HIDDEN),
        learning_rate=learning_rate,
    )
    settings = Settings({EVERY: recipe}, None)
    fitted = fit(
        Material(features[rows], fitted_on, CLASSES, settings, "plain", list(seeds)), lambda *_: None
    )
    return complete_predictions(fitted.predictions, table[["image", "group"]], CLASSES)


def one_class_shuffled(table):
    random = np.random.default_rng(1)
    chosen = (table["subset"] == "train") & (table["label"] == CLASSES[1])
    labels = np.where(chosen, random.choice(CLASSES, len(table)), table["label"])
    return table.assign(label=labels)


@pytest.fixture(scope="module")
def reruns(data):
    """The same classifier with several seeds, each by itself."""
    predictions = trained(data, seeds=SEEDS)
    return [predictions[predictions["seed"] == seed].reset_index(drop=True) for seed in SEEDS]


@pytest.fixture(scope="module")
def repository(tmp_path_factory, reruns):
    """A git repository whose last commit holds the first seed's predictions of two cells."""
    root = new_project(tmp_path_factory.mktemp("gate") / "project", cells=())
    for cell in (CELL, SECOND):
        write_cell(root, cell, reruns[0])
    commit_all(root, "trained")
    return root


@pytest.fixture
def gate(repository, monkeypatch, tmp_path):
    """Runs the command on a candidate; its exit code, and what it wrote for machines."""
    monkeypatch.chdir(repository)

    def run(candidate, *options):
        path = repository / PATHS.predictions(CELL)
        if candidate is None:
            path.unlink()
        else:
            write_table(path, candidate)
        monkeypatch.setattr(sys, "argv", [
            "lung-attention", "gate", "--reference", "HEAD", "--json", str(tmp_path / "gate.json"), *options,
        ])  # fmt: skip
        with pytest.raises(SystemExit) as exited:
            main()
        found = json.loads((tmp_path / "gate.json").read_text(encoding="utf-8"))
        verdicts = {cell["cell"]: cell["verdict"] for cell in found["cells"]}
        assert verdicts.pop(SECOND.name) == "identical"
        return exited.value.code, verdicts[CELL.name]

    return run


def test_an_equal_training_is_identical_and_passes(data, gate):
    assert gate(trained(data)) == (0, "identical")


@pytest.mark.parametrize(
    "change",
    [{"epochs": 1}, {"learning_rate": 100 * LEARNING_RATE}, {"relabel": one_class_shuffled}],
    ids=["one epoch", "learning rate × 100", "labels of one class shuffled"],
)
def test_a_worse_training_fails(data, gate, change):
    code, verdict = gate(trained(data, **change))
    assert code == 1
    # A head that learns nothing is below the floor as well; that it got worse is what is said.
    assert verdict == "regression"


def test_a_smaller_test_set_cannot_be_compared(data, gate):
    assert gate(trained(data, tested=TESTED_ON - 40)) == (2, "not comparable")


def test_a_missing_cell_cannot_be_compared(gate):
    assert gate(None) == (2, "not comparable")


def test_another_seed_passes(reruns, gate):
    flagged = [gate(candidate)[0] != 0 for candidate in reruns[1:]]
    assert sum(flagged) == 0


def test_pairs_of_seeds_pass_in_95_of_100(reruns):
    rule = rule_of(load_config(ROOT / "params.yaml").profiles["local"].gate)
    rule = replace(rule, chance=replace(rule.chance, resamples=1000))  # there are many pairs
    read = [predictions_to_arrays(table, CLASSES) for table in reruns]
    pairs = {
        f"{a}-{b}": paired(read[a], read[b]) for a, b in itertools.permutations(range(len(read)), 2)
    }  # fmt: skip
    # Each by itself, so that no adjustment for many comparisons hides a false alarm.
    flagged = [
        compare_pairs({name: pair}, {name: Luck(0.01, 0.1)}, rule, datasets={name: "lidc"})
        .cells[name]
        .verdict
        is Verdict.REGRESSION
        for name, pair in pairs.items()
    ]
    assert not all(pair.decided_alike for pair in pairs.values())
    assert np.mean(flagged) <= 0.05
