"""A registered model behind `mlflow models serve`, asked by real requests."""

import base64
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from predict.models import CLASSES, exported

from lung_attention.predict.exported import ExportedModel
from lung_attention.predict.find import find_model
from lung_attention.predict.served_model import MOST_IMAGES
from lung_attention.tracking.serving import register_exported

ROOT = Path(__file__).parents[2]
NAME = "lung-attention.test"


def encoded(size=(40, 50), kind="png"):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a server, the exported model it serves, and the registry that it has it from."""
    folder = tmp_path_factory.mktemp("served")
    path = exported(folder / "model.onnx", distance_threshold=1e-6)
    address = f"sqlite:///{folder / 'mlflow.db'}"
    environment = os.environ | {"MLFLOW_TRACKING_URI": address, "PYTHONPATH": str(ROOT / "src")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.chdir(folder)
        assert register_exported(path, NAME, root=folder) == "1"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{NAME}@champion"]
    command += ["--env-manager", "local", "--port", str(port), "--workers", "1"]
    log = (folder / "log").open("w")
    server = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{url}/ping", timeout=2)
                break
            except OSError:
                assert server.poll() is None, (folder / "log").read_text()[-3000:]
                time.sleep(0.5)
        yield url, ExportedModel(path), address
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)
        log.close()


def ask(url, contents):
    """The status and the answer to images."""
    body = {"dataframe_split": {"columns": ["image"], "data": [[one] for one in contents]}}
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def text(content):
    return base64.b64encode(content).decode()


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
    _, model, registry = served
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry)
    found = find_model(f"models:/{NAME}@champion", None)
    assert (found.about, found.sha256) == (model.about, model.sha256)


def huge():
    stream = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(stream, "png")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ([text(b"")], "no JPEG, PNG, TIFF or DICOM"),
        ([text(b"hello")], "no JPEG, PNG, TIFF or DICOM"),
        ([text(encoded()[:500])], "damaged"),
        ([text(huge())], "pixels"),
        ([text(encoded())] * (MOST_IMAGES + 1), f"at most {MOST_IMAGES} images"),
        ([text(encoded((8, 8)))] * 1000, f"at most {MOST_IMAGES} images"),
    ],
    ids=["empty", "text", "cut", "20,000 x 20,000", "one too many", "1,000"],
)
def test_what_cannot_be_answered_is_refused_and_the_server_lives(served, contents, said):
    url, _, _ = served
    status, answer = ask(url, contents)
    assert 400 <= status < 500
    assert said in answer
    assert ask(url, [text(encoded())])[0] == 200
