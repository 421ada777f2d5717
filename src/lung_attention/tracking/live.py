"""A training that can be watched: its run is open while it trains, and is always closed."""

from __future__ import annotations

import logging
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from lung_attention.tracking import runs
from lung_attention.tracking.identity import Fit, RunIdentity
from lung_attention.tracking.processes import fail_abandoned, held_here, version_tags
from lung_attention.tracking.server import address, check_reachable, client, impatient

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_logger = logging.getLogger(__name__)

# One request costs some 30 ms whatever it holds, so epochs are gathered for a second.
_FLUSH_SECONDS = 1.0
# How long a request may hold up a training, and how long a server that failed is left alone.
_REQUEST_SECONDS = 10
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

    It ends FINISHED, FAILED after an exception, KILLED after Ctrl-C or SIGTERM; runs that dead processes
    left open in the experiment are marked FAILED first. `publish` completes the run and lets it take the
    place of older ones of the same identity; here already, where the results show these predictions. A server
    that goes away later stops nothing: it is said once.

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
    with impatient(_REQUEST_SECONDS), sigterm_raises():
        mlflow_client = client()
        run = runs.create(
            mlflow_client, identity, params, {"device": device, "logged_from": "training"} | version_tags()
        )
        run_id = str(run.info.run_id)
        held_here.add(run_id)
        logger = RunLogger(mlflow_client, run)
        monitor = None
        status = "FAILED"
        try:
            logger.attempt(lambda: fail_abandoned(mlflow_client, run.info.experiment_id))
            if split is not None:
                table = split
                logger.attempt(lambda: runs.log_split(mlflow_client, run_id, identity, table))
            monitor = _start_system_metrics(run_id)
            yield logger
            status = "FINISHED"
        except (KeyboardInterrupt, Terminated):
            status = "KILLED"
            raise
        finally:
            if monitor is not None:
                _stop_system_metrics(monitor, logger)
            logger.close(status)
            held_here.discard(run_id)
            if status == "FINISHED":
                logger.attempt(lambda: runs.supersede_incomplete(mlflow_client, identity, run_id))
                logger.attempt(lambda: _complete(identity))


def _complete(identity: RunIdentity) -> None:
    from lung_attention.tracking.cells import publish_known_figures

    publish_known_figures(identity)


class RunLogger:
    """Sends a training's curves to its run, and to a nested run for each fit if there are several.

    The run itself shows the curves of the first fit, so that cells with one fit and with many compare.
    Nothing here raises when the server does not answer.

    Attributes:
        run_id: The run's id.

    Args:
        mlflow_client: The server.
        run: An open run.
    """

    def __init__(self, mlflow_client: MlflowClient, run: Run) -> None:
        self.run_id = str(run.info.run_id)
        self._client = mlflow_client
        self._run = run
        self._first: Fit | None = None
        self._current: Fit | None = None
        self._first_curves: list[Metric] = []
        self._waiting: dict[Fit | None, list[Metric]] = {}  # None stands for the run itself
        self._nested: dict[Fit, str] = {}
        self._open: set[Fit] = set()
        self._next_flush = 0.0
        self._warned = False

    def epoch(self, seed: int, fold: int, epoch: int, values: Mapping[str, float | None]) -> None:
        """Logs one epoch of one fit. Fits come one after another.

        Args:
            seed: The fit's seed.
            fold: The fold left out; -1 for the refit on all images.
            epoch: From 1.
            values: Metric names and values; `None` and NaN, for what was not measured, are left out.
        """
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        metrics = [
            Metric(name, float(value), now_ms, epoch)
            for name, value in values.items()
            if value is not None and not math.isnan(value)
        ]
        fit = (seed, fold)
        if self._first is None:
            self._first = fit
        if fit == self._first:
            self._waiting.setdefault(None, []).extend(metrics)
            self._first_curves.extend(metrics)
        elif not self._first_curves_nested:
            self._waiting[self._first] = list(self._first_curves)
        if fit != self._first:
            self._waiting.setdefault(fit, []).extend(metrics)
        self._current = fit
        if time.monotonic() >= self._next_flush:
            self._flush()

    @property
    def _first_curves_nested(self) -> bool:
        return self._first in self._nested or self._first in self._waiting

    def close(self, status: str) -> None:
        """Sends what waits and ends the run and its nested runs.

        Args:
            status: FINISHED, FAILED or KILLED.
        """
        self._flush()

        def finish() -> None:
            for fit in sorted(self._open):
                self._client.set_terminated(self._nested[fit], status)
            self._open.clear()
            self._client.set_terminated(self.run_id, status)

        self.attempt(finish)

    def attempt(self, call: Callable[[], object]) -> bool:
        """Tries a request; its failure is told once and stops nothing.

        Returns:
            Whether it succeeded.
        """
        try:
            call()
        except Exception as error:
            if not self._warned:
                self._warned = True
                _logger.warning(
                    "The tracking server at %s does not answer (%s). The training goes on; when it has "
                    "ended and the server is back, complete the run with: lung-attention track",
                    address(),
                    type(error).__name__,
                )
            return False
        return True

    def _flush(self) -> None:
        sent = self.attempt(self._send)
        self._next_flush = time.monotonic() + (_FLUSH_SECONDS if sent else _RETRY_SECONDS)

    def _send(self) -> None:
        for fit in list(self._waiting):
            if fit is not None and fit not in self._nested:
                self._nested[fit] = runs.create_fit(self._client, self._run, fit)
                self._open.add(fit)
            target = self.run_id if fit is None else self._nested[fit]
            runs.log_metrics(self._client, target, self._waiting[fit])
            del self._waiting[fit]
        for fit in sorted(self._open - {self._current}):
            self._client.set_terminated(self._nested[fit], "FINISHED")
            self._open.discard(fit)


def _start_system_metrics(run_id: str) -> Any:
    """Samples CPU, memory, disk, network and NVIDIA GPUs (with nvidia-ml-py) in a thread."""
    from mlflow.system_metrics import system_metrics_monitor

    untyped: Any = system_metrics_monitor
    monitor = untyped.SystemMetricsMonitor(run_id, sampling_interval=_SYSTEM_METRICS_SECONDS)
    monitor.start()
    return monitor


def _stop_system_metrics(monitor: Any, logger: RunLogger) -> None:
    """Ends the thread and logs its last sample, which MLflow drops: short trainings have no other."""
    monitor.finish()

    def send() -> None:
        monitor.publish_metrics(monitor.aggregate_metrics())
        monitor.mlflow_logger.flush()

    logger.attempt(send)


@contextmanager
def sigterm_raises() -> Iterator[None]:
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
