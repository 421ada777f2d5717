"""What a user may take for the address of a model: told without passwords, and not waited for."""

import socket
import time

import mlflow
import pytest

from lung_attention import tracking
from lung_attention.errors import UserError
from lung_attention.predict import find

ODD = [
    "models:", "models:/", "models:/x", "models:/x@", "models:/@y", "models:/x@y", "models:/x/1",
    "models:/x/-1", "models:/x/1/2", "models://x/1", "models:/../../etc/passwd/1", "models:/x\0",
    "models:/é/1",
    "models:/m-" + "0" * 32, "runs:", "runs:/", "runs:/abc/model", "runs://h/abc", "runs:/../../etc",
    "runs:/a' OR 1=1/m", "runs:/a%00b/m", "mlflow-artifacts:", "mlflow-artifacts:/x",
]  # fmt: skip


@pytest.mark.parametrize("address", ODD)
def test_an_address_of_nothing_is_told(store, address):
    with pytest.raises(UserError, match="cannot be had") as caught:
        find.find_model(address, None)
    assert caught.value.problem.startswith(address)


@pytest.mark.parametrize(
    "address",
    ["mlflow-artifacts://anna:sec/ret@127.0.0.1:9/x", "mlflow-artifacts://127.0.0.1:9/x?token=secret"],
)
def test_passwords_of_an_address_are_not_repeated(store, address):
    with pytest.raises(UserError, match=r"^mlflow-artifacts://127\.0\.0\.1:9/x cannot be had") as caught:
        find.find_model(address, None)
    assert [word for word in ("anna", "sec/", "ret@", "token") if word in str(caught.value)] == []


def test_a_long_address_gives_a_short_message(store):
    with pytest.raises(UserError) as caught:
        find.find_model("models:/" + "x" * 5000, None)
    assert len(caught.value.problem) < 500


@pytest.mark.parametrize("answers_first", [False, True])
def test_a_server_that_hangs_is_not_waited_for(tmp_path, monkeypatch, answers_first):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lung_attention.tracking.server.PROBE_SECONDS", 1)
    monkeypatch.setattr("lung_attention.tracking.server.UPLOAD_SECONDS", 1)
    if answers_first:  # and hangs when it is asked for the model
        monkeypatch.setattr(tracking, "check_reachable", lambda: None)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://anna:secret@127.0.0.1:{silent.getsockname()[1]}")
        began = time.monotonic()
        with pytest.raises(UserError) as caught:
            find.find_model("models:/x/1", None)
    mlflow.set_tracking_uri(None)
    assert time.monotonic() - began < 5
    assert "secret" not in str(caught.value)
