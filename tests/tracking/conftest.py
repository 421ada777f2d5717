"""A tracking store for each test, real servers, and example cells."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import matplotlib
import mlflow
import pytest
from matplotlib.figure import Figure
from postgres import reason_for_absence

from lung_attention import tracking
from lung_attention.cells import Cell
from lung_attention.tracking import RunIdentity

matplotlib.use("Agg")
SOURCE = Path(tracking.__file__).parents[2]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated store; copying it is faster than migrating one for each test."""
    root = tmp_path_factory.mktemp("empty-store")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracking.connect(root)
        mlflow.MlflowClient().search_experiments(max_results=1)
    mlflow.set_tracking_uri(None)
    return root / "mlflow.db"


@pytest.fixture
def store(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project root whose `mlflow.db` is connected, the current folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    tracking.connect(tmp_path)
    yield tmp_path
    mlflow.set_tracking_uri(None)


@pytest.fixture
def client(store: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient()


@pytest.fixture
def identity() -> RunIdentity:
    cell = Cell("iqoth", "densenet121", "plain", "published", "published")
    return RunIdentity("lung-attention/sample", cell, "0f" * 32)


@pytest.fixture
def cells(identity: RunIdentity) -> list[RunIdentity]:
    """Six cells: three datasets by two backbones."""
    return [
        replace(identity, cell=Cell(dataset, backbone, "attention", "published", "published"))
        for dataset in ("iqoth", "lc25000", "lidc_nodules")
        for backbone in ("mobilenetv2", "densenet121")
    ]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls that drew a cell, each as one small plot: the real ones take seconds."""
    calls: list[str] = []

    def draw(*_: object) -> dict[str, Figure]:
        calls.append("drawn")
        return {"roc": Figure()}

    monkeypatch.setattr("lung_attention.plots.figures.cell_figures", draw)
    return calls


class Server:
    """An `mlflow server` with proxied artifacts, in a process group of its own.

    Args:
        root: Where it keeps artifacts and its log.
        backend: The address of its database.
    """

    def __init__(self, root: Path, backend: str) -> None:
        self.root = root
        self._backend = backend
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"]
        command += ["--port", str(self.port), "--backend-store-uri", self._backend]
        command += ["--artifacts-destination", str(self.root / "served")]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")} | quiet
        with (self.root / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, start_new_session=True, cwd=self.root
            )
        deadline = time.monotonic() + 300  # twenty seconds on an idle machine
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.address}/health", timeout=2):
                    return
            except OSError:
                if self._process.poll() is not None:
                    break
                time.sleep(0.2)
        self.stop()
        raise RuntimeError((self.root / "server.log").read_text())

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def stop(self) -> None:
        if self._process is None:
            return
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


@pytest.fixture(scope="session")
def started_server(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """On PostgreSQL where it is installed. Tests that have to see it there ask for `postgres`, too."""
    root = tmp_path_factory.mktemp("server")
    if reason_for_absence() is None:
        backend = request.getfixturevalue("postgres").new_database()
    else:
        backend = f"sqlite:///{shutil.copy(empty_database, root / 'mlflow.db')}"
    made = Server(root, backend)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def server(started_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that answers. A test that stops it starts it again: one start takes ten seconds."""
    if not started_server.is_running:
        started_server.start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", started_server.address)
    yield started_server
    mlflow.set_tracking_uri(None)


@pytest.fixture
def start_training(tmp_path: Path) -> Iterator[Callable[[RunIdentity], subprocess.Popen[str]]]:
    """Starts a process that opens a run, logs one epoch, says so and waits."""
    started: list[subprocess.Popen[str]] = []

    def start(identity: RunIdentity) -> subprocess.Popen[str]:
        script = (
            "import time\nfrom pathlib import Path\nfrom lung_attention import tracking\n"
            "from lung_attention.cells import Cell\nfrom lung_attention.tracking import RunIdentity\n"
            f"tracking.connect(Path({str(tmp_path)!r}))\n"
            f"with tracking.live_run({identity!r}, {{'epochs': 3}}, device='cpu') as logger:\n"
            "    logger.epoch(0, 0, 1, {'loss': 0.5})\n"
            "    logger.epoch(0, 1, 1, {'loss': 0.5})\n"
            "    logger._curves.send()\n"
            "    print('open', flush=True)\n    time.sleep(120)\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
            env=os.environ | {"PYTHONPATH": str(SOURCE)},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
