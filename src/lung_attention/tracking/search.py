"""Searches in MLflow: each study a run, each of its trials a run nested in it.

A trial's run is made when the trial has ended, from what the study's storage says of it; so nothing is left
open by a worker that dies, and what is missing is made later, by whoever works on the study next.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lung_attention.tracking import runs
from lung_attention.tracking.live import Terminated
from lung_attention.tracking.live import sigterm_raises as sigterm_raises
from lung_attention.tracking.processes import fail_abandoned, held_here
from lung_attention.tracking.server import address, client, experiment_id, impatient

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_logger = logging.getLogger(__name__)

_REQUEST_SECONDS = 10

# How a trial's end is shown by MLflow, whose runs know no pruning.
_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class StudyIdentity:
    """What the run of a study is.

    Attributes:
        experiment: `lung-attention/<profile>`.
        study: The study's name in its storage; names all that its values depend on.
        dataset: Dataset id.
        backbone: Backbone name.
        head: `plain` or `attention`.
        fold: `fold-0` …, or `all`.
    """

    experiment: str
    study: str
    dataset: str
    backbone: str
    head: str
    fold: str

    @property
    def name(self) -> str:
        """The name of the run."""
        return f"search {self.dataset}-{self.backbone}-{self.head} {self.fold}"

    @property
    def tags(self) -> dict[str, str]:
        """Tags for filters. `search_head` and so on, so that a filter by `head` lists cells alone."""
        fields = asdict(self)
        return {"kind": "study", "study": self.study, "fold": self.fold} | {
            f"search_{key}": fields[key] for key in ("dataset", "backbone", "head")
        }


@dataclass(frozen=True)
class TrialRecord:
    """A trial that has ended.

    Attributes:
        number: Its number in the study.
        state: `complete`, `pruned` or `failed`.
        value: What is minimised; None where there is none.
        params: Its parameters.
        intermediate: The value reported at each step.
        started: When it began.
        ended: When it ended.
        tags: What else is known of it: the worker, the error, the trial it repeats.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, Any]
    intermediate: Mapping[int, float]
    started: datetime
    ended: datetime
    tags: Mapping[str, str]


def _precedence(run: Run) -> tuple[int, str]:
    """Which of two runs of the same study or trial stays: the first one."""
    return run.info.start_time, run.info.run_id


@contextmanager
def study_run(identity: StudyIdentity, params: Mapping[str, object]) -> Iterator[StudyRun]:
    """Opens the run of a study, and closes it whatever happens but SIGKILL.

    It ends FINISHED, FAILED after an exception, KILLED after Ctrl-C or SIGTERM. Gone on with, it is
    open again. That of a process killed by SIGKILL is marked FAILED by whoever opens or tracks runs of the
    profile next.

    Args:
        identity: What the run is.
        params: Of the search, flat.

    Yields:
        The run; give it the trials that have ended.
    """
    run = StudyRun(identity, params)
    status = "FAILED"
    with sigterm_raises():
        run.open()
        try:
            yield run
            status = "FINISHED"
        except (KeyboardInterrupt, Terminated):
            status = "KILLED"
            raise
        finally:
            run.close(status)


class StudyRun:
    """The run of a study. Nothing here raises when the server does not answer: it is said once.

    Several workers may hold the run of the same study; each makes the runs of the trials it has ended.

    Args:
        identity: What the run is.
        params: Of the search, flat.
    """

    def __init__(self, identity: StudyIdentity, params: Mapping[str, object]) -> None:
        self._identity = identity
        self._params = params
        self._client: MlflowClient = client()
        self._run_id: str | None = None
        self._warned = False

    def open(self) -> None:
        """Opens the run, or the one that an earlier process left, under way again."""

        def work() -> None:
            fail_abandoned(self._client, experiment_id(self._client, self._identity.experiment))
            self._sign()

        self._attempt(work)

    def trial(self, record: TrialRecord) -> None:
        """Makes the run of a trial that has ended, unless there is one."""

        def work() -> None:
            self._log(record)
            self._sign()

        self._attempt(work)

    def complete(self, records: Sequence[TrialRecord], values: Mapping[str, float]) -> None:
        """Makes the runs that are still missing and logs the study's figures.

        Args:
            records: All trials of the study that have ended.
            values: The study's figures, such as its best value.
        """

        def work() -> None:
            known = self._trial_runs()
            for record in records:
                # Two workers that log the same trial at once may have made two runs.
                found = sorted(known.get(record.number, []), key=_precedence)
                for double in found[1:]:
                    self._client.delete_run(double.info.run_id)
                if not found or found[0].info.status == "RUNNING":
                    self._log(record)
            for name, value in values.items():
                if math.isfinite(value):
                    self._client.log_metric(self._id(), name, value)

        self._attempt(work)

    def close(self, status: str) -> None:
        """Ends the run, or leaves it to another worker that is still at work on the study.

        Args:
            status: FINISHED, FAILED or KILLED.
        """

        def work() -> None:
            run = self._client.get_run(self._id())
            held_here.discard(run.info.run_id)
            is_last = run.data.tags.get("process") == runs.process_tags()["process"]
            if status == "FINISHED" or (is_last and run.info.status == "RUNNING"):
                self._client.set_terminated(run.info.run_id, status)

        self._attempt(work)

    def _sign(self) -> None:
        """Says that the run is under way, whatever others made of it, and that this process is at work."""
        held_here.add(self._id())
        self._client.update_run(self._id(), status="RUNNING")
        for key, value in runs.process_tags().items():
            self._client.set_tag(self._id(), key, value)

    def _id(self) -> str:
        if self._run_id is None:
            self._run_id = self._only(self._identity.tags, self._identity.name)
            logged = self._client.get_run(self._run_id).data.params
            missing = {key: value for key, value in self._params.items() if key not in logged}
            runs.log_params(self._client, self._run_id, missing)
        return self._run_id

    def _only(self, tags: dict[str, str], name: str, **fields: Any) -> str:
        """Finds the run with these tags or makes it. Of two workers that do so at once, one takes it back."""
        experiment = experiment_id(self._client, self._identity.experiment)
        keys = [key for key in ("kind", "study", "trial", "mlflow.parentRunId") if key in tags]
        clause = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in keys)

        def first() -> Run | None:
            found = self._client.search_runs([experiment], clause)
            return min(found, key=_precedence, default=None)

        run = first()
        if run is None:
            made = self._client.create_run(experiment, run_name=name, tags=tags | runs.code_tags(), **fields)
            run = first() or made
            if run.info.run_id != made.info.run_id:
                self._client.delete_run(made.info.run_id)
        return str(run.info.run_id)

    def _trial_runs(self) -> dict[int, list[Run]]:
        experiment = experiment_id(self._client, self._identity.experiment)
        found = self._client.search_runs(
            [experiment],
            f"tags.kind = 'trial' and tags.`mlflow.parentRunId` = '{self._id()}'",
            max_results=10_000,
        )
        by_number: dict[int, list[Run]] = {}
        for run in found:
            by_number.setdefault(int(run.data.tags["trial"]), []).append(run)
        return by_number

    def _log(self, record: TrialRecord) -> None:
        from mlflow.entities import Metric

        tags = {
            "kind": "trial",
            "trial": str(record.number),
            "trial_state": record.state,
            "mlflow.parentRunId": self._id(),
            **record.tags,
        }
        ended_ms = int(record.ended.timestamp() * 1000)
        run_id = self._only(tags, f"trial-{record.number}", start_time=int(record.started.timestamp() * 1000))
        runs.log_params(self._client, run_id, record.params)
        metrics = [
            Metric("val_loss", value, ended_ms, step)
            for step, value in sorted(record.intermediate.items())
            if math.isfinite(value)
        ]
        if record.value is not None and math.isfinite(record.value):
            metrics.append(Metric("objective", record.value, ended_ms, 0))
        runs.log_metrics(self._client, run_id, metrics)
        self._client.set_terminated(run_id, _STATUS[record.state], end_time=ended_ms)

    def _attempt(self, call: Callable[[], None]) -> None:
        try:
            with impatient(_REQUEST_SECONDS):
                call()
        except Exception as error:
            if not self._warned:
                self._warned = True
                _logger.warning(
                    "The tracking server at %s does not answer (%s). The search goes on; the same command "
                    "completes the runs of its studies later.",
                    address(),
                    type(error).__name__,
                )
