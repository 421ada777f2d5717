"""The model that is logged with a cell's run: complete without the package, and served."""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import mlflow
import numpy as np
import pytest
from cell_files import PATHS, copy_configuration, curve, publish
from data.dicom.ct_phantom import slice_file
from known import LABELS, ROOT
from matplotlib.figure import Figure
from model_server import ask, check_refusals, encoded, post, serving, text
from PIL import Image
from tiny_classifier import write_classifier

from lung_attention import tracking
from lung_attention.cells import Cell
from lung_attention.images.decode import decode
from lung_attention.predict.pixels import read_pixels
from lung_attention.tracking import RunIdentity

# A dataset whose file names a window, and one whose images show tissue.
CT = Cell("lidc_slices", "densenet121", "attention", "published", "published")
TISSUE = Cell("lc25000", "densenet121", "attention", "published", "published")
WINDOW = (-300.0, 1400.0)
# What of a distribution's modules is imported under another name.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}


@pytest.fixture(scope="module")
def logged(tmp_path_factory, empty_database):
    """A project's folder, and by cell the logged model of its run, its files, and what was logged."""
    root, found = tmp_path_factory.mktemp("project"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.chdir(root)
        patch.setattr("lung_attention.plots.figures.cell_figures", lambda *_: {"roc": Figure()})
        shutil.copy(empty_database, root / "mlflow.db")
        copy_configuration(root)
        tracking.connect(root)
        for number, cell in enumerate((CT, TISSUE)):
            keras_model = write_classifier(PATHS.model(cell), classes=len(LABELS[cell.dataset]))
            run_id = publish(RunIdentity(PATHS.experiment, cell, f"{number}f" * 32), curve(2))
            run = mlflow.MlflowClient().get_run(run_id)
            model = mlflow.MlflowClient().get_logged_model(run.data.tags["model_id"])
            folder = Path(mlflow.artifacts.download_artifacts(f"models:/{model.model_id}"))
            found[cell] = (model, folder, keras_model)
        yield root, found
    mlflow.set_tracking_uri(None)


def test_the_model_has_its_cells_name_and_a_description(logged):
    model, *_ = logged[1][CT]
    assert (model.name, str(model.status)) == (CT.name, "READY")
    description = model.tags["mlflow.note.content"]
    assert description.startswith("DenseNet121 with the head attention by the recipe published, on ")
    assert "The images are synthetic" in description
    assert "not for diagnosis" in description


def test_none_of_its_files_is_a_pickle(logged):
    _, folder, _ = logged[1][CT]
    contents = {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert {"MLmodel", "model.keras", "pyfunc_model.py", "requirements.txt"} <= contents.keys()
    with zipfile.ZipFile(BytesIO(contents["model.keras"])) as archive:
        inside = {name: archive.read(name) for name in archive.namelist()}
    assert "SoftAttention" in inside["config.json"].decode(), "no layer that only the package knows"
    for name, content in {**contents, **inside}.items():
        assert not name.endswith((".pkl", ".pickle", ".cloudpickle", ".joblib")), name
        assert not (content[:1] == b"\x80" and content[1:2] in b"\x02\x03\x04\x05"), name


def test_its_requirements_can_be_installed_and_are_all_that_its_code_imports(logged):
    _, folder, _ = logged[1][CT]
    pins = [line.split("==") for line in (folder / "requirements.txt").read_text().split()]
    assert all(len(pin) == 2 for pin in pins)
    required = {name for name, _ in pins}
    assert "lung-attention" not in required
    code = [*(folder / "code").rglob("*.py"), folder / "pyfunc_model.py"]
    assert folder / "code/lung_attention/images/decode.py" in code
    imported = set()
    for file in code:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).partition(".")[0])
    others = imported - sys.stdlib_module_names - {"lung_attention"}
    assert {DISTRIBUTIONS.get(name, name) for name in others} <= required
    assert "tensorflow" in required, "the backend of Keras, which no code here imports"


@pytest.mark.parametrize(("cell", "grey"), [(CT, True), (TISSUE, False)])
def test_its_example_is_a_drawn_image_of_the_kind_that_it_knows(logged, cell, grey):
    _, folder, _ = logged[1][cell]
    (content,) = mlflow.models.Model.load(folder).load_input_example(str(folder))["image"]
    pixels = decode(content)
    assert pixels.shape == (128, 128, 3)
    assert pixels.std() > 10
    assert (np.ptp(pixels, axis=2) == 0).all() == grey


def test_it_is_served_without_the_package_and_refuses_what_it_cannot_answer(logged, tmp_path):
    root, found = logged
    model, folder, keras_model = found[CT]
    dicom = slice_file(np.random.default_rng(0).integers(-1000, 400, (30, 30)))
    images = [encoded(), encoded((64, 30), "jpeg"), encoded((11, 7), "tiff"), dicom]
    with serving(f"models:/{model.model_id}", f"sqlite:///{root / 'mlflow.db'}", tmp_path) as url:
        status, answer = ask(url, [text(one) for one in images])
        assert status == 200
        for content, row in zip(images, answer["predictions"], strict=True):
            expected = np.asarray(keras_model(read_pixels(content, WINDOW)[np.newaxis]))[0]
            assert [row[name] for name in LABELS[CT.dataset]] == pytest.approx(expected, abs=1e-6)
        assert post(url, json.loads((folder / "serving_input_example.json").read_text()))[0] == 200
        check_refusals(url)


def test_the_documented_way_to_load_it_works(logged, monkeypatch):
    root, _ = logged
    monkeypatch.chdir(root)
    (snippet,) = re.findall(r"```python\n(import mlflow.*?)```", (ROOT / "docs/mlflow.md").read_text(), re.S)
    Image.fromarray(decode(encoded())).save(root / "slice.png")
    (cell,) = set(re.findall(r"'([a-z0-9_]+(?:-[a-z0-9]+){4})'", snippet))
    assert (ROOT / "results/sample/cells" / cell).is_dir()
    names = {}
    exec(snippet.replace(cell, CT.name), names)
    assert list(names["answer"].columns) == list(LABELS[CT.dataset])
    assert names["answer"].to_numpy().sum() == pytest.approx(1)
