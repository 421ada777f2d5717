"""DVC's table of experiments on one cell fits a screen of 160 columns, as docs/experiments.md says."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from lung_attention.evaluation.cell_metrics import short_scores

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
WIDTH = 160
SCORES = ["accuracy", "balanced_accuracy", "auroc", "mcc", "log_loss"]
METRICS = {
    **dict.fromkeys(["accuracy", "accuracy_low", "accuracy_high"], 0.53889),
    **dict.fromkeys(["balanced_accuracy", "balanced_accuracy_low", "balanced_accuracy_high"], 0.42976),
    "auroc_ovr": 0.60798,
    "mcc": 0.22214,
    "log_loss": 1.65084,
}
STAGE = """
import json, pathlib

import yaml

epochs = yaml.safe_load(open("params.yaml"))["profiles"]["sample"]["train"]["recipe"]["epochs"]
file = pathlib.Path("results/sample/cells/iqoth-mobilenetv2-plain-published-grouped/scores.json")
file.parent.mkdir(parents=True, exist_ok=True)
scores = json.load(open("scores.json"))
for name, value in scores.items():
    scores[name] = value + epochs / 1e4 if isinstance(value, float) else f"{value[:-2]}{epochs}"
file.write_text(json.dumps(scores))
"""
# As the branch of the page has it: one cell is left.
PIPELINE = """
stages:
  evaluate:
    matrix: {dataset: "${datasets}", split: "${splits}"}
    cmd: python stage.py
    deps: [stage.py, scores.json]
    params: [datasets, splits, profiles.sample]
    metrics:
      - results/sample/cells/${item.dataset}-mobilenetv2-plain-published-${item.split}/scores.json:
          cache: false
"""
PARAMS = """
datasets: [iqoth]
splits: [grouped]
profiles: {sample: {train: {recipe: {epochs: 12}}}}
"""


def documented(command):
    """The arguments of the commands of the page that begin so, but for lines that go on."""
    lines = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(command)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Runs commands in a pipeline that was narrowed to one cell, after one experiment on it."""
    folder = tmp_path_factory.mktemp("project")
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n")
    (folder / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    for name, text in {"stage.py": STAGE, "dvc.yaml": PIPELINE, "params.yaml": PARAMS}.items():
        (folder / name).write_text(text)
    (folder / "scores.json").write_text(json.dumps(short_scores(METRICS)))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {"PATH": path, "COLUMNS": str(WIDTH), "DVC_PAGER": "cat"}

    def run(*command):
        done = subprocess.run(
            command, cwd=folder, env=os.environ | settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("git", "init", "-q", "-b", "one-cell")
    for key, value in {"user.name": "n", "user.email": "n@example.org"}.items():
        run("git", "config", key, value)
    run("dvc", "repro", "-q")
    run("git", "add", ".")
    run("git", "commit", "-qm", "One cell")
    (experiment,) = documented("dvc exp run -n")
    run(*experiment)
    return run


def columns_of(table):
    (header,) = (line for line in table.splitlines() if "Experiment" in line)
    return header, [name for name in header.split() if name in SCORES]


def test_the_paged_table_shows_the_scores_in_the_first_160_columns(project):
    header, names = columns_of(project(*documented("dvc exp show")[0]))
    assert names == SCORES
    assert header.index("log_loss") + len("log_loss") <= WIDTH


def test_the_table_without_a_pager_fits_with_all_scores(project):
    table = project(*documented("dvc exp show")[1])
    assert columns_of(table)[1] == SCORES
    assert max(map(len, table.splitlines())) <= WIDTH
    assert "more-epochs" in table


def test_the_names_of_the_design_are_those_of_the_page():
    narrowed = re.findall(r"-S '([a-z.]+)=\[", PAGE)
    design = (ROOT / "params.yaml").read_text(encoding="utf-8").split("profiles:")[0]
    assert {name.split(".")[0] for name in narrowed} <= set(re.findall(r"^(\w+):", design, re.MULTILINE))
    assert len(narrowed) == 8
