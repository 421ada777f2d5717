"""search/dvc.yaml, the Makefile's target and the command behind it."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from lung_attention.cells import Cell
from lung_attention.errors import UserError
from lung_attention.paths import Paths
from lung_attention.search import launch
from lung_attention.search.address import STORAGE_VARIABLE
from lung_attention.workflow import temporary as isolated

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "lung_attention"
STAGES = yaml.safe_load((ROOT / "search" / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
OBSERVERS = {"config", "cells", "errors", "progress", "tracking"}  # as for the main pipeline
CELL = Cell("iqoth", "densenet121", "attention", "published", "grouped")


def imported(path: Path) -> set[Path]:
    """The package's files that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lung_attention"):
            for name in [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]:
                parts = name.split(".")[1:]
                found |= {PACKAGE.joinpath(*parts[:depth]) / "__init__.py" for depth in range(len(parts) + 1)}
                found.add(PACKAGE.joinpath(*parts).with_suffix(".py"))
    return {file for file in found if file.exists()}


def closure(script: Path) -> set[str]:
    seen, todo = set(), [script]
    while todo:
        for module in imported(todo.pop()):
            observer = module.relative_to(PACKAGE).with_suffix("").parts[0] in OBSERVERS
            if module not in seen and not observer:
                seen.add(module)
                todo.append(module)
    return {str(file.relative_to(ROOT)) for file in seen | {script}}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_what_it_imports(stage):
    named = {dep for dep in STAGES[stage]["deps"] if dep.startswith(("src/", "stages/"))}
    assert named == closure(ROOT / "stages" / f"{stage}.py")


@pytest.mark.parametrize("stage", STAGES)
def test_the_files_of_a_stage_are_those_of_the_package(stage):
    paths = Paths("sample")
    known = {
        str(path)
        for path in (
            paths.split("iqoth", "grouped"), paths.features("iqoth", "densenet121"),
            paths.features_info("iqoth", "densenet121"), paths.found(CELL),
        )
    }  # fmt: skip
    outs = [out if isinstance(out, str) else next(iter(out)) for out in STAGES[stage]["outs"]]
    for text in [*STAGES[stage]["deps"], *outs]:
        for key, value in {"profile": "sample", **vars(CELL)}.items():
            text = text.replace("${" + ("" if key == "profile" else "item.") + f"{key}}}", value)
        assert text in known or text.startswith(("src/", "stages/")), text


def test_studies_are_no_output():
    assert "studies" not in str([stage["outs"] for stage in STAGES.values()])


def test_dvc_repro_runs_no_search():
    """The main pipeline reads the file that `make search` keeps, which is no output of the search's stage."""
    main = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    outs = {next(iter(out)) for stage in STAGES.values() for out in stage["outs"]}
    for stage in main.values():
        for dep in stage["deps"]:
            assert not any(out.startswith(dep) for out in outs), dep
    assert any(dep.startswith("results/${profile}/search/") for dep in main["train_tuned"]["deps"])


def test_only_the_search_imports_optuna():
    for file in PACKAGE.rglob("*.py"):
        if re.search(r"^\s*(import|from) optuna\b", file.read_text(encoding="utf-8"), re.MULTILINE):
            assert file.parent.name == "search", file


@pytest.fixture
def launched(monkeypatch, tmp_path):
    """What `run_search` asks DVC for, and what it brings back."""
    calls = []
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(STORAGE_VARIABLE, raising=False)

    def run(command, env, check):
        calls.append((command, env))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(isolated, "_reference", lambda name: "refs/exps/x")
    monkeypatch.setattr(launch, "kept_file", lambda reference, path: f"{path} of {reference}\n")
    return calls


def test_a_search_runs_in_a_copy_with_its_studies_outside(launched, tmp_path):
    path = launch.run_search("sample", CELL, ["search.trials=7"], storage=None)
    ((command, environment),) = launched
    assert "--temp" in command
    assert command[-1] == "search/dvc.yaml:search@iqoth-densenet121-attention"
    settings = [command[place + 1] for place, word in enumerate(command) if word == "-S"]
    assert "profile=sample" in settings
    assert "datasets=[iqoth]" in settings
    assert "profiles.sample.search.trials=7" in settings
    assert environment[STORAGE_VARIABLE] == f"sqlite:///{tmp_path / Paths('sample').studies(CELL)}"
    assert path == Paths("sample").search(CELL)
    assert path.read_text() == f"{Paths('sample').found(CELL)} of refs/exps/x\n"


def test_a_database_goes_by_environment_and_is_not_shown(launched, capsys):
    launch.run_search("sample", CELL, [], storage="postgresql://me:secret@db/studies")
    ((command, environment),) = launched
    assert environment[STORAGE_VARIABLE].endswith("@db/studies")
    assert "secret" not in " ".join(command) + capsys.readouterr().out


def test_a_relative_file_does_not_end_in_the_copy(launched, tmp_path):
    launch.run_search("sample", CELL, [], storage="sqlite:///studies.db")
    ((_, environment),) = launched
    assert environment[STORAGE_VARIABLE] == f"sqlite:///{tmp_path}/studies.db"


def test_a_path_is_refused_before_anything_runs(launched):
    with pytest.raises(UserError, match="expected the address of a database"):
        launch.run_search("sample", CELL, [], storage="mine/studies.journal")
    assert not launched


@pytest.mark.parametrize(
    ("profile", "cell", "named"),
    [
        ("nowhere", CELL, "profile"),
        ("sample", Cell("", "densenet121", "plain", "grouped"), "dataset"),
        ("sample", Cell("iqoth", "vgg16", "plain", "published", "grouped"), "backbone"),
        ("sample", Cell("iqoth", "densenet121", "deep", "published", "grouped"), "head"),
    ],
)
def test_what_is_not_known_is_named(launched, profile, cell, named):
    with pytest.raises(UserError, match=f"^{named}: expected one of"):
        launch.run_search(profile, cell, [], storage=None)
    assert not launched


def test_a_search_that_fails_says_how_it_goes_on(launched, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 1))
    with pytest.raises(UserError, match="the same command goes on"):
        launch.run_search("sample", CELL, [], storage=None)


def test_an_exported_storage_is_not_overridden_by_the_makefile():
    command = ["make", "-n", "search", "DATASET=iqoth", "BACKBONE=densenet121", "HEAD=attention"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "lung-attention search" in done.stdout
    assert STORAGE_VARIABLE not in done.stdout


def test_the_makefiles_variables_reach_the_command(tmp_path):
    command = ["make", "-n", "search", "DATASET=iqoth", "BACKBONE=densenet121", "HEAD=attention", "TRIALS=50"]
    done = subprocess.run(
        [*command, "PROFILE=local", "STORAGE=postgresql://x"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = " ".join(done.stdout.replace("\\\n", " ").split())
    assert "LUNG_ATTENTION_STORAGE='postgresql://x'" in said
    assert (
        "lung-attention search --profile 'local' --dataset 'iqoth' --backbone 'densenet121' "
        "--head 'attention' --set 'search.trials=50'"
    ) in said
