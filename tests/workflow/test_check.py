"""What is wrong with parameters is told before the first stage, by `dvc repro` as by `make repro`."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path):
    """The project without data or results; nothing has run."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("datasets", "stages", "src"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").mkdir()
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    return tmp_path


def refused(project, *command, path=None):
    """Runs a command that has to fail, and returns what it says."""
    folder = Path(sys.executable).parent
    environment = os.environ | {
        "PYTHONPATH": "src",
        "PATH": path or f"{folder}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(
        [folder / command[0], *command[1:]],
        cwd=project, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert "Traceback" not in said
    assert set(re.findall(r"^Running stage '(.*)'", said, re.MULTILINE)) <= {"code"}
    return said


SEARCHED = "searched: {datasets: [lc25000], backbones: [mobilenetv2], heads: [plain], splits: [grouped]}"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("datasets: [iqoth, lc25000, lidc]", "datasets: [iqoth, lc25000, foo]", "no file datasets/foo.yaml"),
        ("    batch_size: 32", "    batch_sizes: 32", "params.yaml: train.recipe.batch_sizes: Unexpected"),
        (
            "  searched: {datasets: [], backbones: [], heads: [], splits: []}",
            f"  {SEARCHED}",
            "results/sample/search/lc25000-mobilenetv2-plain.json is missing\n"
            "  -> make search DATASET=lc25000 BACKBONE=mobilenetv2 HEAD=plain PROFILE=sample",
        ),
        (
            "  {datasets: [iqoth, lc25000, lidc], backbones: [mobilenetv2], heads: [attention],",
            "  {datasets: [iqoth, lc25000, lidc], backbones: [mobilenetv2], heads: [plain, attention],",
            "explained: heads: plain has no attention that could be looked at\n"
            "  -> name heads that have it: attention\n",
        ),
    ],
)
def test_wrong_parameters_are_told_by_every_entry(project, old, new, told):
    text = (project / "params.yaml").read_text(encoding="utf-8")
    (project / "params.yaml").write_text(text.replace(f"\n{old}", f"\n{new}", 1), encoding="utf-8")
    assert told in refused(project, "dvc", "repro")
    assert told in refused(project, "lung-attention", "repro")


def test_no_stage_at_a_time_is_refused(project):
    assert "--jobs: expected at least 1, received 0" in refused(
        project, "lung-attention", "repro", "--jobs", "0"
    )


def test_the_pages_on_the_runs_are_not_opened_elsewhere(project):
    """There they would be empty, and leave a database."""
    elsewhere = project / "docs"
    elsewhere.mkdir()
    assert "params.yaml" in refused(elsewhere, "lung-attention", "ui")
    assert list(elsewhere.iterdir()) == []


def test_the_search_that_is_asked_for_is_not_refused_for_want_of_itself(project):
    text = (project / "params.yaml").read_text(encoding="utf-8")
    nothing = "  searched: {datasets: [], backbones: [], heads: [], splits: []}"
    (project / "params.yaml").write_text(text.replace(nothing, f"  {SEARCHED}", 1), encoding="utf-8")
    factors = ("--dataset", "lc25000", "--backbone", "mobilenetv2", "--head", "plain")
    said = refused(project, "lung-attention", "search", "--profile", "sample", *factors)
    assert "exp run --temp" in said  # which fails here, since the project has no git
    assert "is missing" not in said


def test_an_environment_that_is_not_activated_is_told(project):
    assert "  -> source .venv/bin/activate" in refused(project, "dvc", "repro", "-f", path="/nowhere")
    other = project / "bin" / "python"
    other.parent.mkdir()
    other.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {sys.executable} -S "$@"\n')
    other.chmod(0o755)
    said = refused(project, "dvc", "repro", path=str(other.parent))
    assert "has no lung_attention\n  -> source .venv/bin/activate" in said
