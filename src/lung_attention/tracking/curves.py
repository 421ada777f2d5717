"""Learning curves in MLflow: on the run of a cell, and on a nested run for each fit if there are several."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from lung_attention.tracking import runs
from lung_attention.tracking.identity import Fit

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run


class Curves:
    """Learning curves on their way to a run: `add` epochs, then `send` what the server does not have.

    The run itself shows the curves of the first fit, so that cells with one fit and with many compare.

    Args:
        client: The server.
        run: An open run.
    """

    def __init__(self, client: MlflowClient, run: Run) -> None:
        self._client = client
        self._run = run
        self._metrics: dict[Fit, list[Metric]] = {}
        self._sent: dict[str, int] = {}  # how many, by run
        self._nested: dict[Fit, str] = {}
        self._ended: set[Fit] = set()

    def add(self, seed: int, fold: int, epoch: int, values: Mapping[str, float | None]) -> None:
        """Takes one epoch of one fit. Fits come one after another.

        Args:
            seed: The fit's seed.
            fold: The fold left out; -1 for the refit on all images.
            epoch: From 1.
            values: Metric names and values; `None` and NaN, for what was not measured, are left out.
        """
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        self._metrics.setdefault((seed, fold), []).extend(
            Metric(name, float(value), now_ms, epoch)
            for name, value in values.items()
            if value is not None and not math.isnan(value)
        )

    def send(self) -> None:
        """Sends what was added since, and ends the nested runs of all fits but the last."""
        fits = list(self._metrics)
        if fits:
            self._send_to(self._run.info.run_id, fits[0])
        for fit in fits if len(fits) > 1 else []:
            if fit not in self._nested:
                self._nested[fit] = runs.create_fit(self._client, self._run, fit)
            self._send_to(self._nested[fit], fit)
        self._end_fits(fits[:-1], "FINISHED")

    def end(self, status: str) -> None:
        """Ends the run and its nested runs.

        Args:
            status: FINISHED, FAILED or KILLED.
        """
        self._end_fits(list(self._nested), status)
        self._client.set_terminated(self._run.info.run_id, status)

    def _send_to(self, run_id: str, fit: Fit) -> None:
        metrics, sent = self._metrics[fit], self._sent.get(run_id, 0)
        runs.log_metrics(self._client, run_id, metrics[sent:])
        self._sent[run_id] = len(metrics)

    def _end_fits(self, fits: list[Fit], status: str) -> None:
        for fit in fits:
            if fit in self._nested and fit not in self._ended:
                self._client.set_terminated(self._nested[fit], status)
                self._ended.add(fit)
