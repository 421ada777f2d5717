import csv
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from data.dicom.ct_phantom import slice_file
from PIL import Image
from predict.models import CLASSES, exported, small_classifier

from lung_attention.cells import Cell
from lung_attention.data.archive import MAX_MEMBER_BYTES
from lung_attention.data.sources.dicom import window
from lung_attention.errors import UserError
from lung_attention.files import sha256
from lung_attention.models.saving import save_model
from lung_attention.paths import Paths
from lung_attention.predict.about import code_version
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
    assert manifest["code"] == code_version()
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
        {"file": str(broken), "reason": "it is no JPEG, PNG, TIFF or BMP file, nor DICOM"}
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


PROGRAM = """
import sys
from lung_attention.cli import main
sys.argv[1:] = {arguments!r}
try:
    main()
finally:
    found = {{"tensorflow", "keras", "mlflow", "dvc", "sklearn"}} & set(sys.modules)
    assert not found, found
"""


def run_command(*arguments):
    """Runs the command in a process of its own; its result, and the seconds that it computed."""
    program = PROGRAM.format(arguments=["predict", *map(str, arguments)])
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_first_answer_takes_seconds_and_no_tensorflow(file, images):
    done, seconds = run_command(file, images / "0.png")
    assert done.returncode == 0, done.stderr
    # Two seconds on two cores; what others compute meanwhile does not count.
    assert seconds < 4


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_hostile_and_broken_inputs_are_told_by_the_exit_code_and_harm_nothing(file, images, tmp_path):
    good = (images / "0.png").read_bytes()
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    zipped(inputs / "outside.zip", {"../outside.png": good})
    zipped(inputs / "large.zip", {"large.png": bytes(MAX_MEMBER_BYTES + 1), "small.png": good})
    zipped(inputs / "link.zip", {link: "/etc/passwd"})
    zipped(inputs / "cut.zip", {"cut.png": good})
    (inputs / "cut.zip").write_bytes((inputs / "cut.zip").read_bytes()[:-30])
    zipped(inputs / "good.zip", {"good.png": good, "inner.zip": b"PK"})
    Image.new("1", (20_000, 20_000)).save(inputs / "pixels.png")
    table = tmp_path / "table.csv"
    done, _ = run_command(file, *sorted(inputs.iterdir()), "--csv", table)
    assert done.returncode == SOME_UNREADABLE
    assert "Traceback" not in done.stderr
    reasons = {
        "outside.zip": "leaves its folder",
        "large.zip": "unpacks to",
        "link.zip": "is a link",
        "cut.zip": "no complete zip",
        "pixels.png": "pixels",
    }
    for name, reason in reasons.items():
        (line,) = (line for line in done.stderr.splitlines() if f"/{name}: " in line)
        assert reason in line
    assert [row["file"] for row in csv.DictReader(table.open())] == [f"{inputs}/good.zip/good.png"]
    assert {path.name for path in tmp_path.iterdir()} == {"inputs", "table.csv", "table.csv.manifest.json"}


def test_a_series_of_dicom_slices_is_classified_from_one_end_to_the_other(file, tmp_path, capsys):
    """Through the model's window, or one that is given."""
    rng = np.random.default_rng(0)
    slices = {height: rng.integers(-1300, 100, (40, 50)) for height in (20.0, 0.0, 10.0)}
    archive = tmp_path / "series.zip"
    zipped(archive, {f"{height:g}.dcm": slice_file(hu, z=height) for height, hu in slices.items()})
    model = ExportedModel(file)
    for given in (None, (40.0, 400.0)):
        lines = tmp_path / "lines.jsonl"
        assert run_predict(model, [archive], Options(jsonl=lines, window=given)) == 0
        rows = [json.loads(line) for line in lines.read_text().splitlines()]
        assert [row["file"] for row in rows] == [f"{archive}/{name}.dcm" for name in ("0", "10", "20")]
        level, width = given or model.about.window
        for row, height in zip(rows, (0.0, 10.0, 20.0), strict=True):
            grey = window(slices[height].astype(float), level_hu=level, width_hu=width)
            expected = model.predict(np.repeat(grey[..., None], 3, axis=2)).probabilities
            assert [row[f"probability_{name}"] for name in CLASSES] == pytest.approx(expected)
        manifest = json.loads((tmp_path / "lines.jsonl.manifest.json").read_text())
        assert manifest["window_hu"] == [level, width]
    capsys.readouterr()


class Terminal(io.StringIO):
    """A stand-in for a screen."""

    def isatty(self):
        return True


def test_a_screen_is_told_how_far_it_is_and_a_file_is_not(file, images, monkeypatch, capsys):
    run_predict(ExportedModel(file), [images], Options())
    assert "image/s" not in capsys.readouterr().err
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    run_predict(ExportedModel(file), [images], Options())
    assert "image/s" in screen.getvalue()
    capsys.readouterr()


CELL = Cell("lidc", "mobilenetv2", "attention", "published", "grouped")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the configuration, a trained model of a cell, and its export."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    shutil.copytree(ROOT / "datasets", tmp_path / "datasets")
    paths = Paths("sample")
    paths.model(CELL).parent.mkdir(parents=True)
    paths.model(CELL).write_bytes(b"a stand-in for a trained model")
    paths.exported(CELL).parent.mkdir(parents=True)
    exported(paths.exported(CELL), name=CELL.name, model_sha256=sha256(paths.model(CELL)))
    return paths


def test_a_cell_is_found_by_its_name_and_by_its_keras_file(project):
    model = project.model(CELL)
    for name in (CELL.name, str(model), str(model.absolute())):
        assert find_model(name, None).about.name == CELL.name
    assert find_model(CELL.name, "sample").sha256 == sha256(project.exported(CELL))
    with pytest.raises(UserError, match="is not trained here"):
        find_model(CELL.name, "local")
    model.unlink()
    assert find_model(CELL.name, None).about.name == CELL.name, "of an export alone"


def test_a_cell_that_was_trained_since_is_exported_anew(project, monkeypatch, capsys):
    project.model(CELL).write_bytes(b"a stand-in for a later one")
    made = []

    def export(cell, config, path):
        made.append((cell, config.profile))
        exported(path, name=cell.name, model_sha256=sha256(project.model(cell)))

    monkeypatch.setattr("lung_attention.predict.exporting.export_cell", export)
    assert find_model(CELL.name, None).about.model_sha256 == sha256(project.model(CELL))
    find_model(CELL.name, None)
    assert made == [(CELL, "sample")]
    assert f"exporting {CELL.name} (once" in capsys.readouterr().out


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


@pytest.mark.parametrize(
    "name", ["a-b-c-d-" + "e" * 300, "e" * 300 + ".onnx", "cells/" + "ä" * 200 + "/model.keras"]
)
def test_a_name_that_no_file_can_have_is_refused(name):
    with pytest.raises(UserError, match="expected a name of at most 240 bytes"):
        find_model(name, None)
