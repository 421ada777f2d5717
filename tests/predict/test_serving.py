"""An exported model behind `mlflow models serve`, asked by real requests."""

import io

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from model_server import ask, check_refusals, encoded, post, serving, text
from PIL import Image
from predict.models import CLASSES, exported, small_classifier

from lung_attention.errors import UserError
from lung_attention.models.saving import save_model
from lung_attention.predict.exported import ExportedModel
from lung_attention.predict.find import find_model
from lung_attention.tracking.model import ModelFile, log_model
from lung_attention.tracking.serving import register_exported

NAME = "lung-attention.test"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a server, the exported model it serves, and the registry that it has it from."""
    folder = tmp_path_factory.mktemp("served")
    path = exported(folder / "model.onnx", distance_threshold=1e-6)
    store = f"sqlite:///{folder / 'mlflow.db'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store)
        patch.chdir(folder)
        assert register_exported(path, NAME, root=folder) == "1"
    with serving(f"models:/{NAME}@champion", store, folder) as url:
        yield url, ExportedModel(path), store


def test_images_in_base64_are_answered_as_the_model_answers(served):
    url, model, _ = served
    images = [encoded(), encoded((64, 30), "jpeg")]
    status, answer = ask(url, [text(one) for one in images])
    assert status == 200
    for content, row in zip(images, answer["predictions"], strict=True):
        found = model.predict(np.asarray(Image.open(io.BytesIO(content))))
        assert [row[f"probability_{name}"] for name in CLASSES] == pytest.approx(
            found.probabilities, abs=1e-6
        )
        assert row["class"] == CLASSES[int(found.probabilities.argmax())]
        assert row["set"].split() == found.members
        assert row["familiar"] is False


def test_predict_takes_the_registered_model_as_well(served, monkeypatch):
    _, model, store = served
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    found = find_model(f"models:/{NAME}@champion", None)
    assert (found.about, found.sha256) == (model.about, model.sha256)


def test_what_cannot_be_answered_is_refused_and_the_server_lives(served):
    check_refusals(served[0])
    assert post(served[0], {"dataframe_split": {"columns": ["picture"], "data": [["x"]]}})[0] == 400


def test_predict_takes_the_model_of_a_run_by_the_runs_address_and_by_its_own(served, monkeypatch, tmp_path):
    """What the training of a cell logs, a Keras model with the names of its classes."""
    _, _, registry = served
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)
    monkeypatch.chdir(tmp_path)
    model = small_classifier()
    save_model(model, tmp_path / "model.keras")
    tracking = MlflowClient(registry)
    run = tracking.create_run(tracking.create_experiment("of a training")).info.run_id
    file = ModelFile(tmp_path / "model.keras", "a-cell", tuple(CLASSES), None, True, "A small classifier.")
    own = log_model(tracking, run, file)
    pixels = np.asarray(Image.open(io.BytesIO(encoded())))
    for address in (f"runs:/{run}/a-cell", f"models:/{own}"):
        found = find_model(address, None)
        assert found.about.classes == CLASSES
        said = found.predict(pixels).probabilities
        assert said == pytest.approx(np.asarray(model(pixels[None]))[0], abs=1e-4)
    with pytest.raises(UserError, match="cannot be had"):
        find_model(f"runs:/{'0' * 32}/model", None)


def test_the_registered_model_says_what_it_is_and_how_it_is_asked(served):
    _, model, store = served
    client = mlflow.MlflowClient(store, store)
    version = client.get_model_version_by_alias(NAME, "champion")
    assert model.about.title in version.description
    assert "Not for diagnosis" in version.description
    logged = client.get_logged_model(version.source.removeprefix("models:/"))
    assert logged.name == model.about.name
