"""dvc.yaml names what the stages import and read, no more and no less."""

import ast
import itertools
import re
from pathlib import Path

import pytest
import yaml

from lung_attention.cells import Cell
from lung_attention.config import load_config
from lung_attention.paths import EXPERIMENTS, PARAMS, Paths

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "lung_attention"

# These cannot change what a stage writes but through what its entry in dvc.yaml says anyway.
OBSERVERS = {
    "config": "its values are in `params`",
    "cells": "its paths are in `deps` and `outs`",
    "errors": "tells what went wrong",
    "progress": "tells how far it is",
    "tracking": "tells MLflow",
}

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]


def imported_modules(path: Path) -> set[Path]:
    """The package's files that a file imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lung_attention"):
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("lung_attention")]
        else:
            continue
        for name in names:
            parts = name.split(".")[1:]
            base = PACKAGE.joinpath(*parts)
            for depth in range(len(parts) + 1):
                found.add(PACKAGE.joinpath(*parts[:depth]) / "__init__.py")
            found.add(base.with_suffix(".py"))
    return {file for file in found if file.exists()}


def is_observer(file: Path) -> bool:
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return parts[0] in OBSERVERS


def closure(script: Path) -> set[Path]:
    seen: set[Path] = set()
    todo = [script]
    while todo:
        file = todo.pop()
        for module in imported_modules(file):
            if module not in seen and not is_observer(module):
                seen.add(module)
                todo.append(module)
    return seen


def code_dependencies(stage: str) -> set[Path]:
    files = set()
    for entry in STAGES[stage]["deps"]:
        path = ROOT / entry
        if entry.startswith(("src/", "stages/")):
            assert path.exists(), entry
            files |= set(path.rglob("*.py")) if path.is_dir() else {path} if path.suffix == ".py" else set()
    return files


def script_of(stage: str) -> Path:
    """The script that a stage runs."""
    python, script, *_ = STAGES[stage]["cmd"].split()
    assert python == "python"
    return ROOT / script


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_what_it_imports(stage):
    script = script_of(stage)
    expected = closure(script) | {script}
    named = code_dependencies(stage)
    relative = lambda files: sorted(str(file.relative_to(ROOT)) for file in files)  # noqa: E731
    assert relative(expected - named) == [], "imported, but no dependency"
    assert relative(named - expected) == [], "a dependency, but not imported"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_reads_the_sections_it_names(stage):
    code = script_of(stage).read_text(encoding="utf-8")
    read = set(re.findall(r"config\.active\.(\w+)", code)) | set(re.findall(r"\bprofile\.(\w+)", code))
    named = {
        key.removeprefix("profiles.${profile}.").split(".")[0]
        for key in STAGES[stage].get("params", [])
        if key.startswith("profiles.")
    }
    whole = "profiles.${profile}" in STAGES[stage].get("params", [])  # the report prints all of it
    assert named == read or whole


def test_the_paths_of_dvc_yaml_are_those_of_the_package():
    cell = Cell("iqoth", "densenet121", "attention", "published", "grouped")
    paths = Paths("sample")
    factors = {"profile": "sample", **vars(cell)}
    known = set()
    for name, method in vars(Paths).items():
        for one in (cell, cell.tuned):
            if isinstance(method, property):
                known.add(str(method.fget(paths)))
            elif callable(method) and not name.startswith("_"):
                names = method.__code__.co_varnames[1 : method.__code__.co_argcount]
                args = {**vars(one), "cell": one}
                known.add(str(method(paths, *(args[parameter] for parameter in names))))
    known |= {f"{paths.results}/cells", f"{paths.results}/audit", f"{paths.results}/baselines"}
    known.add(EXPERIMENTS.as_posix())
    known |= {f"{paths.artifacts}/{folder}" for folder in ("archives", "manifests", "splits")} | {"data"}
    for stage in STAGES.values():
        kinds = ("deps", "outs", "metrics", "plots")
        for entry in itertools.chain.from_iterable(stage.get(kind, []) for kind in kinds):
            text = next(iter(entry)) if isinstance(entry, dict) else entry
            for key, value in factors.items():
                text = text.replace("${" + ("" if key == "profile" else "item.") + f"{key}}}", str(value))
            assert "${" not in text, text
            assert text in known or text.startswith(("src/", "stages/")), text


def test_what_is_tuned_is_trained_and_scored_like_every_cell():
    """The same script scores it, and what depends on all cells sees a change of it."""
    assert script_of("evaluate_tuned") == script_of("evaluate")
    for stage in ("train_tuned", "evaluate_tuned"):
        for factor, reference in STAGES[stage]["matrix"].items():
            assert reference == f"${{tuned.{factor}s}}"
    tuned = Cell("iqoth", "densenet121", "attention", "published", "grouped").tuned
    assert tuned.name == "iqoth-densenet121-attention_tuned-grouped"
    assert tuned.stage == "train_tuned@iqoth-densenet121-attention"
    for stage in ("compare", "report"):
        assert "results/${profile}/cells" in STAGES[stage]["deps"]
        assert "tuned" in STAGES[stage]["params"]


def test_the_matrix_covers_what_params_yaml_says():
    config = load_config(ROOT / PARAMS)
    assert set(STAGES["train"]["matrix"]) == {"dataset", "backbone", "head", "split"}
    for factor, reference in STAGES["train"]["matrix"].items():
        assert reference == f"${{{factor}s}}"
        assert getattr(config, f"{factor}s")


def test_stages_without_tensorflow_import_none():
    allowed = {"backbone", "preprocess", "train", "train_tuned"}
    for stage in set(STAGES) - allowed:
        files = closure(script_of(stage))
        for file in files:
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"^\s*(import|from) (keras|tensorflow)\b", text, re.MULTILINE), (stage, file)
