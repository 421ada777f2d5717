"""A tracking store for each test, real servers, and an example cell."""

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
import numpy as np
import pandas as pd
import pytest
from postgres import reason_for_absence

from lung_attention import tracking
from lung_attention.tracking import RunIdentity

matplotlib.use("Agg")
SOURCE = Path(tracking.__file__).parents[2]
CLASSES = ("normal", "malignant", "benign")


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
    """A project root whose `mlflow.db` is connected."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path / "mlflow.db")
    tracking.connect(tmp_path)
    yield tmp_path
    mlflow.set_tracking_uri(None)


@pytest.fixture
def client(store: Path) -> mlflow.MlflowClient:
    return mlflow.MlflowClient()


@pytest.fixture
def identity() -> RunIdentity:
    return RunIdentity(
        experiment="lung-attention/sample",
        name="iqoth-densenet121-plain-published",
        stage="train@iqoth-densenet121-plain-published",
        inputs="0f" * 32,
        dataset="iqoth",
        backbone="densenet121",
        head="plain",
        split="published",
    )


@pytest.fixture
def cells(identity: RunIdentity) -> list[RunIdentity]:
    """Six cells: three datasets by two backbones."""
    made = []
    for dataset in ("iqoth", "lc25000", "lidc"):
        for backbone in ("mobilenetv2", "densenet121"):
            name = f"{dataset}-{backbone}-attention-published"
            made.append(
                replace(identity, name=name, stage=f"train@{name}", dataset=dataset, backbone=backbone,
                        head="attention")
            )  # fmt: skip
    return made


def curve(epochs: int, *, fold: int = 0, seed: int = 0) -> pd.DataFrame:
    """One fit's rows; the refit has no validation rows."""
    epoch = np.arange(1, epochs + 1)
    loss = 1 / (epoch + fold + 2 + seed)
    table = pd.DataFrame({"seed": seed, "fold": fold, "epoch": epoch, "loss": loss, "accuracy": 1 - loss})
    table["val_loss"] = np.nan if fold == -1 else loss * 1.1
    table["val_accuracy"] = np.nan if fold == -1 else 1 - loss * 1.1
    return table


@pytest.fixture
def make_curve() -> Callable[..., pd.DataFrame]:
    return curve


@pytest.fixture
def metrics() -> dict[str, object]:
    return {
        "dataset": "iqoth", "backbone": "densenet121", "head": "plain", "split": "published",
        "n_test": 10, "n_groups": 4, "unit": "patient", "seeds": [0],
        "accuracy": 0.8, "accuracy_low": 0.7, "accuracy_high": 0.9, "accuracy_seed_sd": 0.0,
        "auroc_ovr": None, "auroc_ovr_low": None, "auroc_ovr_high": None, "auroc_ovr_seed_sd": None,
        "per_class": {
            name: {"sensitivity": 0.5, "specificity": 0.6, "ppv": 0.7, "f1": 0.8, "support": 3}
            for name in CLASSES
        },
        "confusion_matrix": {"classes": list(CLASSES), "counts": [[3, 0, 0], [1, 2, 0], [0, 1, 3]]},
    }  # fmt: skip


@pytest.fixture
def results(metrics: dict[str, object], tmp_path: Path) -> dict[str, object]:
    """A cell's content beside its history, without a model."""
    predictions = tmp_path / "predictions.csv"
    predictions.write_text("image,label\na.png,normal\n")
    return {
        "params": {"epochs": 3, "learning_rate": 0.0001},
        "metrics": metrics,
        "draw": dict,
        "files": [predictions],
        "model_path": None,
        "classes": CLASSES,
    }


@pytest.fixture(scope="session")
def keras_file(tmp_path_factory):
    """A tiny classifier with the interface of the real ones, and their head: it has layers of the package."""
    import keras

    from lung_attention.models.heads import build_head

    keras.utils.set_random_seed(0)
    head = build_head(
        (4, 4, 8), 3, attention=True, hidden_units=[8], attention_maps=2, attention_gamma=0.01,
        attention_activation="relu", pooling="flatten", dropout=0.0, l2=0.0, seed=0,
    )  # fmt: skip
    model = keras.Sequential(
        [
            keras.Input((None, None, 3), dtype="uint8"),
            keras.layers.Resizing(8, 8),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(8, 2, strides=2),
            head,
        ]
    )
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    model.save(path, include_optimizer=False)
    return path, model


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
            "from lung_attention.tracking import RunIdentity\n"
            f"tracking.connect(Path({str(tmp_path)!r}))\n"
            f"with tracking.live_run({identity!r}, {{'epochs': 3}}, device='cpu') as logger:\n"
            "    logger.epoch(0, 0, 1, {'loss': 0.5})\n"
            "    logger.epoch(0, 1, 1, {'loss': 0.5})\n"
            "    logger._flush()\n"
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
