"""Runs of searches: one for each study, and one nested in it for each of its trials.

A trial's run is made when the trial has ended, from what the study's storage says of it; so nothing is left
open by a worker that dies, and what is missing is made later, by whoever works on the study next.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lung_attention.tracking import runs
from lung_attention.tracking.live import closing
from lung_attention.tracking.processes import code_tags, fail_abandoned, held_here, process_tags
from lung_attention.tracking.server import REQUEST_SECONDS, Attempts, client, experiment_id, impatient

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# How a trial's end is shown by MLflow, whose runs know no pruning.
_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}


@dataclass(frozen=True)
class StudyIdentity:
    """The identity of a study's run.

    Attributes:
        experiment: `lung-attention/<profile>`.
        study: The study's name in its storage; names all that its values depend on.
        dataset: Dataset id.
        backbone: Backbone name.
        head: A key of `HEADS`.
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
        tags: What else is known of it: the error it raised, the trial it repeats.
    """

    number: int
    state: str
    value: float | None
    params: Mapping[str, Any]
    intermediate: Mapping[int, float]
    started: datetime
    ended: datetime
    tags: Mapping[str, str]


@contextmanager
def study_run(identity: StudyIdentity, params: Mapping[str, object]) -> Iterator[StudyRun]:
    """Opens the run of a study, and closes it whatever happens but SIGKILL.

    Gone on with, it is open again. That of a process killed by SIGKILL is marked FAILED by whoever opens or
    tracks runs of the profile next.

    Args:
        identity: What the run is.
        params: Of the search, flat.

    Yields:
        The run; give it the trials that have ended.
    """
    run = StudyRun(identity, params)
    with impatient(REQUEST_SECONDS), closing(run.close):
        run.open()
        yield run


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
        self._attempt = Attempts(
            "The search goes on; the same command completes the runs of its studies later."
        )

    def open(self) -> None:
        """Opens the run, or the one that an earlier process left, under way again."""

        def work() -> None:
            fail_abandoned(self._client, self._experiment)
            self._sign()

        self._attempt(work)

    def trial(self, record: TrialRecord) -> None:
        """Makes the run of a trial that has ended."""

        def work() -> None:
            self._log(record)
            self._sign()

        self._attempt(work)

    def complete(self, records: Sequence[TrialRecord], values: Mapping[str, float]) -> None:
        """Makes the runs that are still missing and logs what is said of the study.

        Args:
            records: All trials of the study that have ended.
            values: The study's numbers, such as its best value.
        """

        def work() -> None:
            tracked = self._client.search_runs(
                [self._experiment], f"{self._trials} and attributes.status != 'RUNNING'", max_results=10_000
            )
            logged = {run.data.tags["trial"] for run in tracked}
            for record in records:
                if str(record.number) not in logged:
                    self._log(record)
            for name, value in values.items():
                if math.isfinite(value):
                    self._client.log_metric(self._id, name, value)

        self._attempt(work)

    def close(self, status: str) -> None:
        """Ends the run, or leaves it to another worker that is still at work on the study.

        Args:
            status: FINISHED, FAILED or KILLED.
        """

        def work() -> None:
            run = self._client.get_run(self._id)
            held_here.discard(run.info.run_id)
            is_last = run.data.tags.get("process") == process_tags()["process"]
            if status == "FINISHED" or (is_last and run.info.status == "RUNNING"):
                self._client.set_terminated(run.info.run_id, status)

        self._attempt(work)

    def _sign(self) -> None:
        """Says that the run is under way, whatever others made of it, and that this process is at work."""
        held_here.add(self._id)
        self._client.update_run(self._id, status="RUNNING")
        runs.set_tags(self._client, self._id, process_tags())

    @cached_property
    def _experiment(self) -> str:
        return experiment_id(self._client, self._identity.experiment)

    @cached_property
    def _id(self) -> str:
        wanted = f"tags.kind = 'study' and tags.study = '{self._identity.study}'"
        run = self._first(wanted)
        if run is None:
            made = self._create(self._identity.name, self._identity.tags)
            # Two workers may do so at once: the older run stays.
            run = self._first(wanted) or made
            if run.info.run_id != made.info.run_id:
                self._client.delete_run(made.info.run_id)
        logged = run.data.params
        missing = {key: value for key, value in self._params.items() if key not in logged}
        runs.log_params(self._client, run.info.run_id, missing)
        return str(run.info.run_id)

    @property
    def _trials(self) -> str:
        """The filter that lists the study's trials."""
        return f"tags.kind = 'trial' and tags.mlflow.parentRunId = '{self._id}'"

    def _first(self, wanted: str) -> Run | None:
        """The oldest run that a filter lists."""
        found: list[Run] = self._client.search_runs([self._experiment], wanted)
        return min(found, key=lambda run: (run.info.start_time, run.info.run_id), default=None)

    def _create(self, name: str, tags: Mapping[str, str], **fields: Any) -> Run:
        tags = {**tags, **code_tags()}
        return self._client.create_run(self._experiment, run_name=name, tags=tags, **fields)

    def _log(self, record: TrialRecord) -> None:
        from mlflow.entities import Metric

        number = str(record.number)
        about = {"trial": number, "trial_state": record.state, "mlflow.parentRunId": self._id, **record.tags}
        started_ms, ended_ms = (int(time.timestamp() * 1000) for time in (record.started, record.ended))
        # There is one already where the server went away while it was filled.
        run = self._first(f"{self._trials} and tags.trial = '{number}'") or self._create(
            f"trial-{number}", {"kind": "trial", **about}, start_time=started_ms
        )
        run_id = run.info.run_id
        runs.log_params(self._client, run_id, record.params)
        metrics = [
            Metric("val_objective", value, ended_ms, step)
            for step, value in sorted(record.intermediate.items())
            if math.isfinite(value)
        ]
        if record.value is not None and math.isfinite(record.value):
            metrics.append(Metric("objective", record.value, ended_ms, 0))
        runs.log_metrics(self._client, run_id, metrics)
        self._client.set_terminated(run_id, _STATUS[record.state], end_time=ended_ms)
