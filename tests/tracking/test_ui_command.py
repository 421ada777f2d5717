"""The pages on the runs: a port that is taken, and links to what is there."""

import socket

import pytest

from lung_attention import tracking
from lung_attention.errors import UserError
from lung_attention.tracking.server import client
from lung_attention.tracking.ui import links, serve_ui


def test_a_port_that_is_taken_is_told_with_another(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port} cannot be had") as caught:
            serve_ui(tmp_path, port)
    assert f"PORT={port + 1}" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_each_profile_has_a_link_to_its_finished_runs(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking.connect(tmp_path)
    tracking.check_reachable()
    number = client().create_experiment("lung-attention/sample")
    client().create_experiment("somebody else's")
    (line,) = links(5001)
    assert line.startswith(f"lung-attention/sample: http://127.0.0.1:5001/#/experiments/{number}/runs?")
    assert "searchFilter=tags.complete%20%3D%20%27true%27" in line
