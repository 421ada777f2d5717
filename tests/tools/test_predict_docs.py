"""What the docs say of predicting is what predicting says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from predict.models import exported

import predict_docs
from lung_attention.predict.exported import ExportedModel

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("exported") / "model.onnx", name="iqoth-a-b-c-d", title="IQ")


def test_the_example_is_a_run_of_the_command(path, tmp_path):
    Image.fromarray(np.zeros((30, 30, 3), np.uint8)).save(tmp_path / "one.png")
    text = predict_docs.example(ExportedModel(path), tmp_path / "one.png")
    assert text.startswith("```\n$ lung-attention predict iqoth-a-b-c-d one.png --profile local\nfile ")
    assert "one.png" in text.splitlines()[3] and text.endswith("Not for diagnosis.\n```")


def test_strangers_are_counted_by_dataset_and_photographs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(predict_docs, "EACH", 4)
    monkeypatch.setattr(predict_docs, "TILES", 2)
    near = exported(tmp_path / "near.onnx", name="lc25000-a-b-c-d", distance_threshold=1e-9)
    models = [ExportedModel(path), ExportedModel(near)]
    lines = predict_docs.strangers(models, ["iqoth", "lc25000"], ROOT / "sample").splitlines()
    assert lines[0] == "| model | IQ-OTH/NCCD | LC25000 (lung) | photographs |"
    assert lines[2] == "| `iqoth-a-b-c-d` | 0 % (its own) | 0 % | 0 % |"
    assert lines[3] == "| `lc25000-a-b-c-d` | 100 % | 100 % (its own) | 100 % |"


@pytest.mark.parametrize("page", ["README.md", "docs/predict.md"])
def test_the_docs_hold_what_was_generated(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    name = "predict" if page == "README.md" else "strangers"
    inside = text.split(f"<!-- generated:{name} -->")[1].split(f"<!-- /generated:{name} -->")[0]
    assert len(inside.strip().splitlines()) >= 3
