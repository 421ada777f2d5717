"""The pages on the runs: a port that is taken, links to what is there, and their end."""

import json
import os
import signal
import socket
import sys
from types import SimpleNamespace

import pytest

from lung_attention import tracking
from lung_attention.alive import Stopped
from lung_attention.cli import main
from lung_attention.errors import UserError
from lung_attention.tracking.server import client
from lung_attention.tracking.ui import links, serve_ui


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def test_a_port_that_is_taken_is_told_with_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be had") as caught:
            serve_ui(tmp_path, port)
        monkeypatch.setattr(sys, "argv", ["lung-attention", "ui", "--port", str(port)])
        with pytest.raises(SystemExit) as exited:
            main()
    assert exited.value.code == 2, "as for any mistake"
    assert f"PORT={port + 1}" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", [-1, 0, 65536])
def test_a_number_that_is_no_port_is_told(tmp_path, port):
    with pytest.raises(UserError, match=f"expected 1 to 65535, received {port}\n"):
        serve_ui(tmp_path, port)


def test_each_profile_has_a_link_to_its_finished_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking.connect(tmp_path)
    tracking.check_reachable()
    number = client().create_experiment("lung-attention/sample")
    client().create_experiment("somebody else's")
    line, hint = links(5001)[0].splitlines()
    assert hint == "  no results yet -> lung-attention track --profile sample"
    assert line.startswith(f"lung-attention/sample: http://127.0.0.1:5001/#/experiments/{number}/runs?")
    assert "workflowType=machine_learning" in line, "the list of trainings, not of chats"
    key = line.partition("viewStateShareKey=")[2]
    view = json.loads(client().get_experiment(number).tags[f"mlflow.sharedViewState.{key}"])
    assert view["searchFilter"] == "tags.complete = 'true'"
    assert view["orderByKey"] in view["selectedColumns"]
    run = client().create_run(number, tags={"complete": "true"})
    assert links(5001) == [line], run
    client().create_run(number, tags={"complete": "experiment"})
    again, further = links(5001)[0].splitlines()
    assert again == line
    assert further.startswith(f"  DVC's experiments: http://127.0.0.1:5001/#/experiments/{number}/runs?")
    key = further.partition("viewStateShareKey=")[2]
    view = json.loads(client().get_experiment(number).tags[f"mlflow.sharedViewState.{key}"])
    assert view["searchFilter"] == "tags.complete = 'experiment'"
    client().delete_experiment(number)
    assert links(5001) == ["no results yet -> lung-attention track"]


def test_mlflow_that_ends_by_itself_is_a_failure(tmp_path, monkeypatch, free_port):
    monkeypatch.setattr("lung_attention.tracking.ui.run_to_the_end", lambda *_, **__: 0)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="ended by itself, with exit code 0") as caught:
        serve_ui(tmp_path, free_port)
    assert f"PORT={free_port + 1}" in caught.value.remedy


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_the_usual_end_and_all_of_mlflow_is_asked(tmp_path, monkeypatch, free_port, sent):
    """MLflow itself takes long to start; how processes end is looked at in test_alive.py."""
    groups = []
    monkeypatch.setattr(os, "killpg", lambda group, number: groups.append((group, number)))

    def run(command, ask, *, environment):
        assert command[1:4] == ["-m", "mlflow", "ui"]
        assert environment["PYTHONWARNINGS"] == "ignore"
        ask(SimpleNamespace(pid=4711))
        raise Stopped(sent, "stopped")

    monkeypatch.setattr("lung_attention.tracking.ui.run_to_the_end", run)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if sent == signal.SIGINT:
        assert serve_ui(tmp_path, free_port) == 0
    else:
        with pytest.raises(Stopped):
            serve_ui(tmp_path, free_port)
    assert groups == [(4711, signal.SIGTERM)]
