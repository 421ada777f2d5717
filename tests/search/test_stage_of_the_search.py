"""stages/search.py on toy features: what it writes, what it goes on with, what it asks for."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import mlflow
import numpy as np
import optuna
import pytest
import yaml
from settings_of_a_search import CLASSES, DEFAULT, SEARCH, searched_settings, toy, views_of

from lung_attention.cells import Cell
from lung_attention.files import read_json, sha256, write_json, write_table
from lung_attention.models.feature_file import images_digest
from lung_attention.paths import Paths, code_digest, head_digest
from lung_attention.search.address import STORAGE_VARIABLE
from lung_attention.training.recipe import EVERY, Settings, require_split

ROOT = Path(__file__).parents[2]
CELL = Cell("iqoth", "densenet121", "plain", "recommended", "grouped")
PATHS = Paths("sample")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with all that the stage reads; searches of two trials."""
    monkeypatch.chdir(tmp_path)
    for variable in (STORAGE_VARIABLE, "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copytree(ROOT / "datasets", "datasets")
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    values["search"] = SEARCH.model_copy(update={"trials": 2}).model_dump()
    values["profiles"]["sample"]["search"] = {}
    Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    features, table = toy()
    write_table(PATHS.split(CELL.dataset, CELL.split), table)
    for view, seen in views_of(features).items():
        path = PATHS.features(CELL.dataset, CELL.backbone, view)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, seen)
        info = {
            "name": view,
            "images_sha256": images_digest(table["image"].tolist()),
            "sha256": sha256(path),
        }
        write_json(PATHS.features_info(CELL.dataset, CELL.backbone, view), info)
    settings = Settings({EVERY: DEFAULT}, None).as_json()
    write_json(PATHS.settings(CELL), {"classes": CLASSES, "seeds": [0], "features": info, **settings})
    for file in (code_digest("search"), head_digest(CELL.head)):
        write_json(file, {"a.py": "0" * 64})
    yield tmp_path
    mlflow.set_tracking_uri(None)


def run_stage(monkeypatch, *options):
    """Runs the script in this process and returns its exit code."""
    factors = [f"--{name}={getattr(CELL, name)}" for name in ("dataset", "backbone", "head")]
    monkeypatch.setattr(sys, "argv", ["search.py", *factors, *options])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "stages" / "search.py"), run_name="__main__")
    return ended.value.code


def names_of_studies():
    return {study.study_name for study in optuna.get_all_study_summaries(f"sqlite:///{PATHS.studies(CELL)}")}


def test_what_is_found_can_be_trained_with_and_its_studies_are_gone_on_with(project, monkeypatch):
    assert run_stage(monkeypatch, "--trials-only") == 0
    assert not PATHS.found(CELL).exists()
    names = names_of_studies()
    assert {name.rsplit("/", 1)[0] for name in names} == {
        f"sample/{CELL.searched}/{fold}" for fold in ("fold-0", "fold-1", "all")
    }

    assert run_stage(monkeypatch) == 0
    assert names_of_studies() == names
    found = read_json(PATHS.found(CELL))
    for study in found["studies"].values():
        assert study["trials"]["complete"] + study["trials"]["pruned"] == 2
    factors = {"dataset": CELL.dataset, "backbone": CELL.backbone, "head": CELL.head}
    assert factors.items() <= found.items()
    assert "recipe" not in found, "what is searched has none yet"
    assert all(name.endswith(found["inputs"][:12]) for name in names)
    # What stages/settings.py makes of it, and what stages/train.py asks of that.
    settings = searched_settings(found)
    require_split(settings, PATHS.split(CELL.dataset, CELL.split))
    assert settings.of(1).as_json() == found["studies"]["fold-1"]["settings"]

    # Other code, and other data, begin studies anew.
    write_json(code_digest("search"), {"a.py": "1" * 64})
    assert run_stage(monkeypatch) == 0
    assert len(names_of_studies()) == 6


@pytest.mark.parametrize(
    "path",
    [
        PATHS.settings(CELL), PATHS.split(CELL.dataset, CELL.split), code_digest("search"),
        PATHS.features(CELL.dataset, CELL.backbone, "whole"),
        PATHS.features(CELL.dataset, CELL.backbone, "close"),
        PATHS.features_info(CELL.dataset, CELL.backbone, "close"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named_with_the_stages_that_make_it(project, monkeypatch, capsys, path):
    path.unlink()
    assert run_stage(monkeypatch) == 2
    said = capsys.readouterr().err
    assert f"error: {path} is missing" in said
    assert "dvc repro split@iqoth-grouped settings" in said
