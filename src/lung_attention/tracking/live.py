"""The open run of a training that can be watched while it goes on, and is always closed."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from lung_attention.tracking import runs
from lung_attention.tracking.curves import Curves
from lung_attention.tracking.identity import RunIdentity
from lung_attention.tracking.processes import fail_abandoned, held_here, version_tags
from lung_attention.tracking.server import (
    REQUEST_SECONDS,
    Attempts,
    check_reachable,
    client,
    failures_told,
    impatient,
)

if TYPE_CHECKING:
    import pandas as pd

# One request costs some 30 ms whatever it holds, so epochs are gathered for a second.
_FLUSH_SECONDS = 1.0
# How long a server that failed is left alone.
_RETRY_SECONDS = 60.0
_SYSTEM_METRICS_SECONDS = 5


class Terminated(SystemExit):
    """The process was asked to end by SIGTERM."""


@contextmanager
def live_run(
    identity: RunIdentity,
    params: Mapping[str, object],
    *,
    device: str,
    split: pd.DataFrame | None = None,
) -> Iterator[RunLogger]:
    """Opens the run of a training and closes it whatever happens.

    Runs that dead processes left open in the experiment are marked FAILED first. The run is for people who
    watch: `publish_cell` completes it from the training's files, or makes another where something is missing.
    It does so here already where the results show these predictions. A server that goes away later stops
    nothing.

    Args:
        identity: What the run is.
        params: Parameters of the training, flat.
        device: What it computes on, such as `cpu` or a GPU's name.
        split: The table of subsets (image, label, group, fold, subset), logged as MLflow datasets.

    Yields:
        The logger of the training's epochs.

    Raises:
        TrackingUnavailableError: The server does not answer, before anything was trained.
    """
    check_reachable()
    attempt = Attempts(
        "The training goes on; when it has ended and the server is back, complete the run with: "
        "lung-attention track"
    )
    with impatient(REQUEST_SECONDS):
        mlflow_client = client()
        tags = {"device": device, "logged_from": "training"} | version_tags()
        with failures_told():
            run = runs.create(mlflow_client, identity, params, tags)
        run_id = str(run.info.run_id)
        logger = RunLogger(run_id, Curves(mlflow_client, run), attempt)
        held_here.add(run_id)
        try:
            with closing(logger.close):
                attempt(lambda: fail_abandoned(mlflow_client, run.info.experiment_id))
                if split is not None:
                    table = split
                    attempt(lambda: runs.log_split(mlflow_client, run_id, identity.cell, table))
                with _system_metrics(run_id, attempt):
                    yield logger
        finally:
            held_here.discard(run_id)
        attempt(lambda: _publish_known(identity))


def _publish_known(identity: RunIdentity) -> None:
    from lung_attention.tracking.cells import publish_known_results

    publish_known_results(identity)


class RunLogger:
    """Tells the server how a training goes on. Nothing here raises when it does not answer.

    Attributes:
        run_id: The run's id.

    Args:
        run_id: The run's id.
        curves: The run's curves.
        attempt: Makes requests.
    """

    def __init__(self, run_id: str, curves: Curves, attempt: Attempts) -> None:
        self.run_id = run_id
        self._curves = curves
        self._attempt = attempt
        self._next_flush = 0.0

    def epoch(self, seed: int, fold: int, epoch: int, values: Mapping[str, float | None]) -> None:
        """Logs one epoch of one fit; see `Curves.add`."""
        self._curves.add(seed, fold, epoch, values)
        if time.monotonic() >= self._next_flush:
            sent = self._attempt(self._curves.send)
            self._next_flush = time.monotonic() + (_FLUSH_SECONDS if sent else _RETRY_SECONDS)

    def close(self, status: str) -> None:
        """Sends what waits and ends the run. Where that fails it stays open, for the next to mark it FAILED.

        Args:
            status: FINISHED, FAILED or KILLED.
        """

        def finish() -> None:
            self._curves.send()
            self._curves.end(status)

        # A busy server may drop one request, which is no reason to give the run up.
        if not self._attempt(finish):
            self._attempt(finish)


@contextmanager
def closing(close: Callable[[str], object]) -> Iterator[None]:
    """Ends a run whatever happens but SIGKILL.

    Args:
        close: Given the status: FINISHED, FAILED after an exception, KILLED after Ctrl-C or SIGTERM.
    """
    status = "FAILED"
    with _sigterm_raises():
        try:
            yield
            status = "FINISHED"
        except (KeyboardInterrupt, Terminated):
            status = "KILLED"
            raise
        finally:
            close(status)


@contextmanager
def _system_metrics(run_id: str, attempt: Attempts) -> Iterator[None]:
    """Samples CPU, memory and NVIDIA GPUs (with nvidia-ml-py) in a thread."""
    from mlflow.system_metrics import system_metrics_monitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    untyped: Any = system_metrics_monitor
    monitor = untyped.SystemMetricsMonitor(run_id, sampling_interval=_SYSTEM_METRICS_SECONDS)
    # Disk and network tell nothing of a training.
    monitor.monitors = [one for one in monitor.monitors if not isinstance(one, (DiskMonitor, NetworkMonitor))]
    monitor.start()

    def send_last() -> None:
        # MLflow drops the last sample; short trainings have no other.
        monitor.publish_metrics(monitor.aggregate_metrics())
        monitor.mlflow_logger.flush()

    try:
        yield
    finally:
        monitor.finish()
        attempt(send_last)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turns SIGTERM into an exception, so that what is open gets closed."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
