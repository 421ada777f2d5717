"""Servers that answer, that do not, and that go away."""

from __future__ import annotations

import logging
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlflow
import pandas as pd
import pytest
from cell_files import PARAMS, copy_configuration, curve, publish

from lung_attention import tracking
from lung_attention.errors import UserError
from lung_attention.tracking import live_run


@pytest.fixture(autouse=True)
def no_tracking_uri_left():
    yield
    mlflow.set_tracking_uri(None)


def test_an_unreachable_server_is_told_at_once_without_credentials(tmp_path, identity, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://anna:secret@127.0.0.1:{port}/base?token=hidden")
    tracking.connect(tmp_path)
    started = time.monotonic()
    with pytest.raises(UserError) as caught, live_run(identity, {}, device="cpu"):
        raise AssertionError("training began")
    assert time.monotonic() - started < 6
    message = str(caught.value)
    assert f"http://127.0.0.1:{port}/base" in message
    assert "lung-attention track" in message
    assert [word for word in ("anna", "secret", "hidden") if word in message] == []


def test_a_server_that_never_answers_is_not_waited_for(tmp_path, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracking.connect(tmp_path)
        started = time.monotonic()
        with pytest.raises(tracking.TrackingUnavailableError):
            tracking.check_reachable()
        assert time.monotonic() - started < 6


def test_a_server_that_wants_a_login_says_so(tmp_path, monkeypatch):
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(401)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{refusing.server_port}")
        tracking.connect(tmp_path)
        with pytest.raises(UserError, match="MLFLOW_TRACKING_TOKEN"):
            tracking.check_reachable()
        refusing.shutdown()


def test_a_deleted_experiment_is_the_users_to_restore(client, store, identity, drawn):
    copy_configuration(store)
    publish(identity, curve(1))
    client.delete_experiment(client.get_experiment_by_name(identity.experiment).experiment_id)
    with pytest.raises(UserError, match="experiments restore"):
        publish(identity, curve(1))


def test_a_server_that_is_stopped_in_mid_training(
    server, postgres, identity, drawn, monkeypatch, caplog, tmp_path
):
    """The training ends well and says so; when the server is back, its files become a run."""
    monkeypatch.chdir(tmp_path)
    copy_configuration(tmp_path)
    caplog.set_level(logging.WARNING)
    tracking.connect(tmp_path)
    tracking.check_reachable()
    history = pd.concat([curve(3, fold=0), curve(3, fold=1)], ignore_index=True)
    rows = history.drop(columns=["seed", "fold", "epoch"]).to_dict("records")
    began = time.monotonic()
    with live_run(identity, PARAMS, device="cpu") as logger:
        logger.epoch(0, 0, 1, rows[0])
        time.sleep(1.1)
        logger.epoch(0, 0, 2, rows[1])
        server.stop()
        stopped = time.monotonic()
        time.sleep(1.1)
        logger.epoch(0, 0, 3, rows[2])
        for epoch in (1, 2, 3):
            logger.epoch(0, 1, epoch, rows[2 + epoch])
    assert time.monotonic() - stopped < 20, "the training was held up"
    assert began < stopped
    told = [r.getMessage() for r in caplog.records if "does not answer" in r.getMessage()]
    assert len(told) == 1
    assert server.address in told[0]
    assert "lung-attention track" in told[0]
    with pytest.raises(tracking.TrackingUnavailableError):
        publish(identity, history)

    server.start()
    client = mlflow.MlflowClient()
    assert client.get_run(logger.run_id).info.status == "RUNNING"
    run_id = publish(identity, history)
    left = client.get_run(logger.run_id)
    assert (left.info.status, left.data.tags["superseded"]) == ("FAILED", "true")
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["complete"]) == ("FINISHED", "true")
    assert len(client.get_metric_history(run_id, "loss")) == 3
    nested = client.search_runs([run.info.experiment_id], f"tags.mlflow.parentRunId = '{run_id}'")
    assert {child.info.run_name for child in nested} == {"seed-0 fold-0", "seed-0 fold-1"}
    assert {child.info.status for child in nested} == {"FINISHED"}
    # Artifacts went through the server.
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert "results/predictions.csv" in [f.path for f in client.list_artifacts(run_id, "results")]
    assert list((server.root / "served").rglob("predictions.csv"))
    assert publish(identity, history) == run_id
    client.delete_run(logger.run_id)  # other tests look at all runs of this server
