import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from predict.models import CLASSES, exported, small_classifier

from lung_attention.errors import UserError
from lung_attention.models.saving import save_model
from lung_attention.predict.command import SOME_UNREADABLE, Options, run_predict
from lung_attention.predict.exported import ExportedModel
from lung_attention.predict.find import find_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return folder


def test_each_image_has_a_line_with_class_probability_and_set(file, images, capsys):
    assert run_predict(ExportedModel(file), [images], Options()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "set (90 %)" in lines[0]
    for number in range(3):
        assert lines[1 + number].split()[0].endswith(f"{number}.png")
        assert any(name in lines[1 + number] for name in CLASSES)
    said = "\n".join(lines)
    assert "balanced accuracy 0.700 (0.600 to 0.800); grouped split, 60 images" in said
    assert "91.0 % of images of unseen groups, with 1.20 of 2 classes" in said
    assert "Not for diagnosis." in said


def test_files_hold_what_was_predicted_and_by_what(file, images, tmp_path, capsys):
    table, lines = tmp_path / "table.csv", tmp_path / "table.jsonl"
    model = ExportedModel(file)
    run_predict(model, [images], Options(csv=table, jsonl=lines))
    rows = list(csv.DictReader(table.open()))
    objects = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(rows) == len(objects) == 3
    for number, (row, found) in enumerate(zip(rows, objects, strict=True)):
        content = (images / f"{number}.png").read_bytes()
        assert row["sha256"] == found["sha256"] == hashlib.sha256(content).hexdigest()
        probabilities = [found[f"probability_{name}"] for name in CLASSES]
        pixels = np.asarray(Image.open(images / f"{number}.png"))
        assert probabilities == pytest.approx(model.predict(pixels).probabilities)
        assert found["class"] == CLASSES[int(np.argmax(probabilities))]
        assert float(row["probability_benign"]) == pytest.approx(probabilities[0])
        assert row["set"] == " ".join(found["set"])
        assert found["familiar"] is True
    manifest = json.loads((tmp_path / "table.csv.manifest.json").read_text())
    assert manifest["table"]["sha256"] == hashlib.sha256(table.read_bytes()).hexdigest()
    assert manifest["table"]["images"] == 3
    assert manifest["model"]["onnx_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest["model"]["metrics"]["balanced_accuracy"] == [0.7, 0.6, 0.8]
    capsys.readouterr()


def test_what_cannot_be_read_is_listed_and_the_rest_goes_on(file, images, tmp_path, capsys):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    table = tmp_path / "table.csv"
    code = run_predict(ExportedModel(file), [broken, images], Options(csv=table))
    assert code == SOME_UNREADABLE == 3
    said = capsys.readouterr()
    assert "1 of 4 inputs could not be read" in said.err
    assert f"{broken}: it is no JPEG" in said.err
    assert len(list(csv.DictReader(table.open()))) == 3
    manifest = json.loads((tmp_path / "table.csv.manifest.json").read_text())
    assert manifest["unreadable"] == [
        {"file": str(broken), "reason": "it is no JPEG, PNG, TIFF or DICOM file"}
    ]


def test_images_outside_of_what_a_model_knows_are_called_so(tmp_path, images, capsys):
    near = exported(tmp_path / "near.onnx", distance_threshold=1e-3)
    run_predict(ExportedModel(near), [images / "0.png"], Options())
    assert "outside what this model knows" in capsys.readouterr().out


def test_pictures_show_image_and_map(file, images, tmp_path, capsys):
    run_predict(ExportedModel(file), [images], Options(overlay=tmp_path / "maps"))
    pictures = sorted((tmp_path / "maps").iterdir())
    assert [picture.name for picture in pictures] == [f"{n + 1:05d}-{n}.png.png" for n in range(3)]
    picture = np.asarray(Image.open(pictures[0])).astype(int)
    left, right = np.split(picture, 2, axis=1)
    assert np.abs(left - right).max() > 20
    plain = exported(tmp_path / "plain.onnx", small_classifier(attention=False))
    with pytest.raises(UserError, match="no attention map"):
        run_predict(ExportedModel(plain), [images], Options(overlay=tmp_path / "maps"))
    capsys.readouterr()


def test_a_killed_run_leaves_no_table(file, images, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(ExportedModel, "predict", fail)
    with pytest.raises(KeyboardInterrupt):
        run_predict(ExportedModel(file), [images], Options(csv=tmp_path / "table.csv"))
    assert list(tmp_path.iterdir()) == []
    capsys.readouterr()


def test_predicting_imports_no_tensorflow(file, images):
    program = (
        "import sys; from lung_attention.cli import main\n"
        f"sys.argv[1:] = ['predict', {str(file)!r}, {str(images)!r}]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "found = {'tensorflow', 'keras', 'mlflow', 'dvc', 'sklearn'} & set(sys.modules)\n"
        "assert not found, found"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_files_that_are_no_such_model_are_refused(tmp_path, file):
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(UserError, match="no ONNX model"):
        find_model(str(tmp_path / "text.onnx"), None)
    foreign = onnx.load(file)
    del foreign.metadata_props[:]
    onnx.save_model(foreign, tmp_path / "foreign.onnx")
    with pytest.raises(UserError, match="does not say what it was fitted on"):
        find_model(str(tmp_path / "foreign.onnx"), None)
    for name, said in (
        ("missing.onnx", "no such file"),
        ("missing.keras", "no such file"),
        ("what", "a cell's name"),
    ):
        with pytest.raises(UserError, match=said):
            find_model(name, None)


def test_a_keras_file_alone_predicts_with_numbered_classes(tmp_path, images):
    model = small_classifier(crop_px=24)
    save_model(model, tmp_path / "mine.keras")
    found = find_model(str(tmp_path / "mine.keras"), None)
    assert found.about.classes == ["class 0", "class 1"]
    assert found.about.shown.crop_px == 24
    pixels = np.asarray(Image.open(images / "0.png"))
    assert found.predict(pixels).probabilities == pytest.approx(np.asarray(model(pixels[None]))[0], abs=1e-4)
    assert found.predict(pixels).members is None
