"""Experiments: their figures are kept, those of the profile stay as they are."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from lung_attention.errors import UserError
from lung_attention.files import read_table, write_table
from lung_attention.paths import EXPERIMENTS
from lung_attention.workflow import experiments
from lung_attention.workflow.experiments import COLUMNS, merged, run_experiment

ROOT = Path(__file__).parents[2]
SUMMARY = """dataset,backbone,head,recipe,split,n_test,accuracy,accuracy_low,accuracy_high,n_seeds,device
iqoth,densenet121,plain,published,published,220,0.9,0.85,0.94,1,cpu
iqoth,densenet121,plain,cropped,published,220,0.7,0.65,0.74,1,cpu
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    write_table(EXPERIMENTS, pd.DataFrame(columns=list(COLUMNS)))
    asked = []
    monkeypatch.setattr(
        experiments, "run_in_temporary", lambda *arguments: asked.append(arguments) or "refs/exps/x"
    )
    monkeypatch.setattr(experiments, "kept_file", lambda reference, path: SUMMARY)
    return asked


def test_the_committed_table_has_the_columns():
    assert tuple(read_table(ROOT / EXPERIMENTS).columns) == COLUMNS


def test_figures_are_kept_under_the_name_of_the_question(project):
    settings = ["datasets=[iqoth]", "preprocess.views.whole.interpolation=nearest"]
    run_experiment("local", "coarse pixels", settings)
    run_experiment("local", "coarse pixels", settings)
    run_experiment("local", "another", settings)
    nothing_further = [f"further.{name}.datasets=[]" for name in ("searched", "recommended", "finetuned")]
    assert project[0] == ("local", [*nothing_further, "explained.datasets=[]", *settings])
    table = read_table(EXPERIMENTS)
    assert table["experiment"].tolist() == ["coarse pixels", "another"]
    assert table["settings"].tolist() == ["datasets=[iqoth] preprocess.views.whole.interpolation=nearest"] * 2
    assert table["accuracy"].tolist() == [0.9, 0.9] and table["n_test"].tolist() == [220, 220]
    assert tuple(table.columns) == COLUMNS


def test_a_repeated_experiment_replaces_only_its_own_cells():
    def row(experiment, head, accuracy):
        values = dict.fromkeys(COLUMNS, "-")
        return values | {"experiment": experiment, "head": head, "accuracy": accuracy}

    known = pd.DataFrame([row("a", "plain", 0.1), row("a", "attention", 0.2), row("b", "plain", 0.3)])
    table = merged(known, pd.DataFrame([row("a", "plain", 0.9)]))
    kept = {(one["experiment"], one["head"]): one["accuracy"] for _, one in table.iterrows()}
    assert kept == {("a", "plain"): 0.9, ("a", "attention"): 0.2, ("b", "plain"): 0.3}


def test_without_a_table_one_begins(project):
    EXPERIMENTS.unlink()
    run_experiment("local", "nearest pixel", ["datasets=[iqoth]"])
    assert read_table(EXPERIMENTS)["experiment"].tolist() == ["nearest pixel"]


def test_a_damaged_table_is_told_before_anything_runs(project):
    EXPERIMENTS.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"experiments\.csv cannot be read"):
        run_experiment("local", "nearest pixel", ["datasets=[iqoth]"])
    assert project == []
