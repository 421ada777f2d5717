"""Servers that answer, that do not, and that go away."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
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
from lung_attention.tracking.server import address as server_address


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


class Failing(BaseHTTPRequestHandler):
    """Answers the probe, and has a fault of its own behind it."""

    def do_GET(self):
        self.answer(200 if "experiments/search" in self.path else 500)

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.answer(200 if "experiments/search" in self.path else 500)

    def answer(self, code):
        body = b"{}"
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def test_a_server_that_fails_behind_the_probe_is_told_soon_without_credentials(
    tmp_path, identity, monkeypatch
):
    with ThreadingHTTPServer(("127.0.0.1", 0), Failing) as failing:
        threading.Thread(target=failing.serve_forever, daemon=True).start()
        address = f"http://anna:sec/ret@127.0.0.1:{failing.server_port}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address.replace("sec/ret", "secret"))
        tracking.connect(tmp_path)
        began = time.monotonic()
        with pytest.raises(tracking.TrackingUnavailableError) as caught, live_run(identity, {}, device="cpu"):
            raise AssertionError("training began")
        assert time.monotonic() - began < 20
        failing.shutdown()
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_what_dvc_runs_in_a_workspace_of_its_own_is_logged_in_the_checkout(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    workspace = tmp_path / ".dvc" / "tmp" / "exps" / "tmpa1b2c3"
    workspace.mkdir(parents=True)
    for folder in (workspace, tmp_path):
        tracking.connect(folder)
        assert mlflow.get_tracking_uri() == f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://anna:se/cr@et@host:5000/base?token=hidden#x", "http://host:5000/base"),
        ("anna:secret@host:5000", "host:5000"),
        ("postgresql://anna:sec/ret@host/runs", "postgresql://host/runs"),
        ("sqlite:////home/a@b/mlflow.db", "sqlite:////home/a@b/mlflow.db"),
        ("databricks", "databricks"),
    ],
)
def test_an_address_is_shown_without_what_opens_it(monkeypatch, uri, shown):
    monkeypatch.setattr(mlflow, "get_tracking_uri", lambda: uri)
    assert server_address() == shown


MAKER = """
import sys
from pathlib import Path
from lung_attention import tracking
tracking.connect(Path(sys.argv[1]))
print("ready", flush=True)
input()
tracking.check_reachable()
"""


def test_two_processes_that_make_the_database_at_a_time_both_find_one(tmp_path):
    command = [sys.executable, "-c", MAKER, str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    both = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    for one in both:
        assert one.stdout.readline() == "ready\n"
    for one in both:
        one.stdin.write("\n")
        one.stdin.flush()
    for one in both:
        one.communicate(timeout=120)
        assert one.returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_kill_while_the_database_is_made_leaves_none_behind(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    environment = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    with subprocess.Popen(
        [sys.executable, "-c", MAKER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as maker:
        assert maker.stdout.readline() == "ready\n"
        maker.stdin.write("\n")
        maker.stdin.flush()
        while not list(tmp_path.glob("*.unfinished")):
            time.sleep(0.005)
        maker.kill()
        maker.wait()
    assert not (tmp_path / "mlflow.db").exists()
    tracking.connect(tmp_path)
    tracking.check_reachable()
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


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
