"""Figures of this machine against the committed ones."""

import json
import math
import subprocess
from dataclasses import replace

import pytest

from lung_attention.cells import Cell
from lung_attention.errors import UserError
from lung_attention.gate.reproducibility import compare_with_commit
from lung_attention.paths import Paths

CELL = Cell("iqoth", "densenet121", "plain", "published", "published")
COMMITTED = {"accuracy": 0.9, "balanced_accuracy": 0.8, "auroc_ovr": None}


@pytest.fixture
def metrics(tmp_path, monkeypatch):
    """The cell's figures in the work tree, as committed."""
    monkeypatch.chdir(tmp_path)
    path = Paths("sample").metrics(CELL)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(COMMITTED))
    for command in (
        ("init", "-q"), ("add", "."),
        ("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "figures"),
    ):  # fmt: skip
        subprocess.run(["git", *command], check=True)
    return path


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ({}, [0, 0, 0]),
        ({"accuracy": 0.85}, [0.05, 0, 0]),
        ({"balanced_accuracy": None}, [0, math.inf, 0]),
        ({"auroc_ovr": 0.7}, [0, 0, math.inf]),
    ],
)
def test_a_score_that_became_undefined_is_no_small_difference(metrics, here, expected):
    metrics.write_text(json.dumps(COMMITTED | here))
    table = compare_with_commit([CELL], Paths("sample"), revision="HEAD")
    assert table["difference"].tolist() == pytest.approx(expected)


def test_figures_that_are_missing_are_named(metrics):
    other = replace(CELL, recipe="searched")
    new = Paths("sample").metrics(other)
    new.parent.mkdir(parents=True)
    new.write_bytes(metrics.read_bytes())
    with pytest.raises(UserError, match="HEAD holds no"):
        compare_with_commit([other], Paths("sample"), revision="HEAD")
    metrics.unlink()
    with pytest.raises(UserError, match="is missing"):
        compare_with_commit([CELL], Paths("sample"), revision="HEAD")
