"""What a search chose to look at, from its file through the stages settings and train to the kept model."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path

import keras
import mlflow
import numpy as np
import pytest
import yaml
from settings_of_a_search import DEFAULT, changed, toy

from lung_attention.cells import Cell
from lung_attention.files import read_json, read_table, sha256, write_json, write_table
from lung_attention.models.backbones import random_backbone
from lung_attention.models.feature_file import images_digest
from lung_attention.models.saved import open_model
from lung_attention.paths import Paths, code_digest, head_digest, recipe_digest

ROOT = Path(__file__).parents[2]
CELL = Cell("iqoth", "mobilenetv2", "plain", "searched", "grouped")
PATHS = Paths("sample")
SIZES_PX = {"whole": 64, "close": 32}
VIEW = {"crop_px": None, "interpolation": "bilinear", "antialias": False, "standardise": False}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with all that the two stages read, for one cell."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(ROOT / "datasets", "datasets")
    values = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    part = {"datasets": [CELL.dataset], "backbones": [CELL.backbone], "heads": [CELL.head]}
    nowhere = {factor: [] for factor in ("datasets", "backbones", "heads", "splits")}
    values |= part | {"splits": [CELL.split], "explained": nowhere | {"recipes": []}}
    values["further"] |= dict.fromkeys(("searched", "recommended"), part | {"splits": [CELL.split]})
    values["further"]["finetuned"] = nowhere
    Path("params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    _, table = toy()
    write_table(PATHS.split(CELL.dataset, CELL.split), table)
    random = np.random.default_rng(0)
    for view, size_px in SIZES_PX.items():
        path = PATHS.features(CELL.dataset, CELL.backbone, view)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, random.random((len(table), size_px // 32, size_px // 32, 1280)).astype(np.float16))
        images = images_digest(table["image"].tolist())
        about = {"images_sha256": images, "sha256": sha256(path), "image_size_px": size_px, "view": VIEW}
        write_json(PATHS.features_info(CELL.dataset, CELL.backbone, view), {"name": view, **about})
    weights = PATHS.backbone(CELL.backbone)
    weights.parent.mkdir(parents=True)
    photographs = random.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    random_backbone(CELL.backbone, images=photographs, seed=0).save_weights(weights)
    for file in (code_digest("train"), head_digest(CELL.head), recipe_digest(CELL.recipe)):
        write_json(file, {"a.py": "0" * 64})
    yield tmp_path
    mlflow.set_tracking_uri(None)


def run_stage(monkeypatch, name, *options):
    """Runs a script in this process and returns its exit code."""
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *options])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "stages" / f"{name}.py"), run_name="__main__")
    return ended.value.code


def found(**views):
    """The file of a search that chose these views, and the same settings for all fits."""
    studies = {
        fit.replace("_", "-"): {"settings": changed(DEFAULT, view=view).as_json()}
        for fit, view in views.items()
    }
    write_json(
        PATHS.search(CELL), {"split": sha256(PATHS.split(CELL.dataset, CELL.split)), "studies": studies}
    )


@pytest.mark.parametrize("kept", ["whole", "close"])
def test_each_fit_and_the_kept_model_look_at_what_the_search_chose(project, monkeypatch, kept):
    found(fold_0="whole", fold_1="close", all=kept)
    assert run_stage(monkeypatch, "settings") == 0
    content = read_json(PATHS.settings(CELL))
    assert set(content["views"]) == {"whole", "close"}
    assert content["features"] == content["views"][kept]

    factors = (
        f"--{name}={getattr(CELL, name)}" for name in ("dataset", "backbone", "head", "recipe", "split")
    )
    assert run_stage(monkeypatch, "train", *factors) == 0
    predictions = read_table(PATHS.raw_predictions(CELL))
    assert sorted(predictions["image"]) == sorted(toy()[1]["image"])
    model = open_model(PATHS.model(CELL))
    assert model.get_layer(CELL.backbone).input_shape == (None, SIZES_PX[kept], SIZES_PX[kept], 3)
    keras.backend.clear_session()


def test_settings_of_one_view_name_no_others(project, monkeypatch):
    found(fold_0="close", fold_1="close", all="close")
    assert run_stage(monkeypatch, "settings") == 0
    content = read_json(PATHS.settings(CELL))
    assert "views" not in content
    assert content["features"]["name"] == "close"


def test_a_view_that_is_none_of_the_design_is_named(project, monkeypatch, capsys):
    found(fold_0="wide", fold_1="close", all="close")
    assert run_stage(monkeypatch, "settings") == 2
    said = capsys.readouterr().err
    assert f"{CELL.name} looks at ['wide']" in said
    assert "or search again" in said
