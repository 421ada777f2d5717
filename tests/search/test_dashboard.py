"""optuna-dashboard opens the studies of a search."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from bowl import NAME, opened, study_of

PROGRAM = Path(sys.executable).with_name("optuna-dashboard")


@pytest.mark.skipif(not PROGRAM.exists(), reason="optuna-dashboard is not installed (pip install -e .[dev])")
def test_the_dashboard_shows_a_study_and_leaves_it_as_it_is(tmp_path):
    file = tmp_path / "a.db"
    study_of(opened(file), trials=5)
    content = file.read_bytes()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [PROGRAM, "--host", "127.0.0.1", "--port", str(port), f"sqlite:///{file}"],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        (study,) = answer(f"http://127.0.0.1:{port}/api/studies", process)["study_summaries"]
        assert study["study_name"] == NAME
        shown = answer(f"http://127.0.0.1:{port}/api/studies/{study['study_id']}", process)
        assert len(shown["trials"]) == 5
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert file.read_bytes() == content


def answer(address, process):
    deadline = time.monotonic() + 120  # seconds on an idle machine
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=10) as response:
                return json.load(response)
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the dashboard does not answer")
