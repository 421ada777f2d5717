"""docs/extend.md, edit by edit: dataset, backbone, head and score of one's own, in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytestmark = pytest.mark.pipeline

ROOT = Path(__file__).parents[2]
NEW = "mine-mobilenet-gated-published-grouped"

GATED = '''"""A head whose features pass a gate before the dense layers."""

from __future__ import annotations

import keras

from lung_attention.models.heads.dense import dense_head
from lung_attention.training.recipe import Recipe


def build(feature_shape: tuple[int, int, int], n_classes: int, recipe: Recipe, *, seed: int) -> keras.Model:
    """Builds the gated head."""
    features = keras.Input(feature_shape, name="features")
    initializer = keras.initializers.GlorotUniform(seed=seed)
    gate = keras.layers.Conv2D(1, 1, activation="sigmoid", kernel_initializer=initializer)(features)
    return dense_head(features, keras.layers.Multiply()([features, gate]), n_classes, recipe, seed=seed)
'''


def images(folder):
    """Two classes of ten patients with two images each, told apart by their brightness."""
    random = np.random.default_rng(0)
    for number, label in enumerate(("benign", "malignant")):
        (folder / label).mkdir(parents=True)
        for patient in range(10):
            for image in range(2):
                pixels = random.integers(60, 120, (80, 80), dtype=np.uint8) + np.uint8(90 * number)
                Image.fromarray(pixels).save(folder / label / f"P{number}{patient}_{image}.png")


def replace(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


def set_design(copy, **lists):
    """Edits lines of params.yaml."""
    lines = (copy / "params.yaml").read_text(encoding="utf-8").splitlines()
    for key, values in lists.items():
        (number,) = (k for k, line in enumerate(lines) if line.startswith(f"{key}: ["))
        lines[number] = f"{key}: [{', '.join(values)}]"
    (copy / "params.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def leave_out_further_recipes(copy):
    """Edits the top of params.yaml: no recipe but the published one runs, and no cell is looked into."""
    text = (copy / "params.yaml").read_text(encoding="utf-8")
    for key in ("further", "explained"):
        block = re.search(rf"^{key}:\n(?:  .*\n)+", text, re.MULTILINE)[0]
        text = text.replace(block, re.sub(r"\[[^]]*\]", "[]", block))
    (copy / "params.yaml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the project whose pipeline, of one cell, is up to date."""
    copy = tmp_path_factory.mktemp("extend") / "project"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith("results/local"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=copy, check=True)
    set_design(copy, datasets=["lidc"], backbones=["mobilenetv2"], heads=["plain"], splits=["grouped"])
    leave_out_further_recipes(copy)
    run(copy, "lung-attention", "repro", "--jobs", "2")
    return copy


def run(copy, *command):
    environment = os.environ | {
        "PYTHONPATH": "src",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{copy}/mlflow.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "LUNG_ATTENTION_ARCHIVES": str(copy.parent / "archives"),
    }
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_an_own_dataset_backbone_head_and_score(copy):
    images(copy.parent / "archives" / "mine")
    # A dataset: one command, which writes one file.
    said = run(copy, "lung-attention", "dataset", "new", "mine", "--from",
               str(copy.parent / "archives" / "mine"), "--patients", r"(P\d+)_")  # fmt: skip
    assert 'SET="datasets=[mine]"' in said
    assert yaml.safe_load((copy / "datasets" / "mine.yaml").read_text())["groups"]["method"] == "patients"
    # A head: a module, and its entry.
    heads = copy / "src" / "lung_attention" / "models" / "heads"
    (heads / "gated.py").write_text(GATED, encoding="utf-8")
    replace(
        heads / "__init__.py", "HEADS = {\n", 'HEADS = {\n    "gated": "lung_attention.models.heads.gated",\n'
    )
    # All three in params.yaml; a backbone is no more than its name there.
    set_design(
        copy, datasets=["lidc", "mine"], backbones=["mobilenetv2", "mobilenet"], heads=["plain", "gated"]
    )

    run(copy, "dvc", "repro", "-q", "code")
    status = json.loads(run(copy, "dvc", "status", "--json"))
    stages = {name.removeprefix("dvc.yaml:") for name in status if not name.startswith("search")}
    sums_up = {"settings", "compare", "report"}
    assert f"train@{NEW}" in stages
    assert {
        name for name in stages if not {"mine", "mobilenet", "gated"} & set(name.replace("@", "-").split("-"))
    } == sums_up

    # A score: a line. It concerns every evaluation.
    replace(
        copy / "src/lung_attention/evaluation/further_scores.py",
        "FURTHER_SCORES: dict[str, Score] = {}",
        "FURTHER_SCORES: dict[str, Score] = {\n"
        '    "certainty": lambda y_true, y_score: float(y_score.max(axis=1).mean()),\n}',
    )
    set_design(copy, datasets=["mine"], backbones=["mobilenet"], heads=["plain", "gated"])
    replace(
        copy / "params.yaml",
        "download: {source: embedded, check_counts: false}",
        "download: {source: folder}",
    )
    run(copy, "lung-attention", "repro", "--jobs", "2")

    metrics = json.loads((copy / f"results/sample/cells/{NEW}/metrics.json").read_text())
    assert metrics["head"] == "gated"
    assert metrics["unit"] == "patient"
    assert metrics["n_groups"] == 20
    assert metrics["n_test"] == 40
    plain = copy / f"results/sample/cells/{NEW.replace('gated', 'plain')}/metrics.json"
    channels = 1024  # of MobileNet: the gate has a weight for each, and a bias
    own = json.loads(plain.read_text())["trainable_parameters"] + channels + 1
    assert metrics["trainable_parameters"] == own
    assert 0.5 <= metrics["certainty_low"] <= metrics["certainty"] <= metrics["certainty_high"] <= 1
    report = (copy / "results/sample/report.md").read_text(encoding="utf-8")
    assert report.startswith("# mine: ")
    assert "ublished figure" not in report
    assert "Are the published results reproduced?" not in report
