"""Studies and trials in MLflow: one run each, closed and marked, whoever was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import mlflow
import pytest
from bowl import NAME, bowl, opened, study_of

import lung_attention
from lung_attention import tracking
from lung_attention.search.track import track_study
from lung_attention.tracking.processes import fail_abandoned
from lung_attention.tracking.search import StudyIdentity, StudyRun, TrialRecord

SOURCE = Path(lung_attention.__file__).parents[1]
HERE = Path(__file__).parent
IDENTITY = StudyIdentity(
    experiment="lung-attention/sample", study=NAME, dataset="iqoth", backbone="densenet121",
    head="attention", fold="fold-0",
)  # fmt: skip
PARAMS = {"inner_folds": 2, "space": {"epochs": [1, 2]}}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[mlflow.MlflowClient]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking.connect(tmp_path)
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(None)


def search(tmp_path, *, trials=9, objective=bowl):
    storage = opened(tmp_path / "a.db")
    with track_study(storage, IDENTITY, PARAMS, trials=trials) as tell:
        return study_of(storage, trials=trials, objective=objective, on_trial=tell)


def runs(client, kind):
    (experiment,) = client.search_experiments(filter_string=f"name = '{IDENTITY.experiment}'")
    return client.search_runs([experiment.experiment_id], f"tags.kind = '{kind}'", max_results=1000)


def test_a_study_is_a_run_and_each_trial_is_nested_in_it(tmp_path, store):
    def broken(trial):
        if trial.number == 4:
            raise ValueError("out of memory")
        return bowl(trial)

    with pytest.raises(ValueError, match="out of memory"):
        search(tmp_path, objective=broken)
    (run,) = runs(store, "study")
    assert run.info.status == "FAILED"

    study = search(tmp_path, objective=broken)  # goes on, in the same run
    search(tmp_path, objective=broken)  # and has nothing left to do
    (run,) = runs(store, "study")
    assert run.info.status == "FINISHED"
    assert run.data.tags["search_head"] == "attention"
    assert "head" not in run.data.tags, "a filter by head would list it among the cells"
    assert run.data.params["inner_folds"] == "2"
    assert run.data.metrics["best_objective"] == study.best_value
    assert run.data.metrics["trials_failed"] == 1

    nested = {int(trial.data.tags["trial"]): trial for trial in runs(store, "trial")}
    assert sorted(nested) == list(range(10)) == [trial.number for trial in study.trials]
    marks = {
        "COMPLETE": ("complete", "FINISHED"),
        "PRUNED": ("pruned", "KILLED"),
        "FAIL": ("failed", "FAILED"),
    }
    seen = set()
    for trial in study.trials:
        tracked = nested[trial.number]
        seen.add(trial.state.name)
        assert (tracked.data.tags["trial_state"], tracked.info.status) == marks[trial.state.name]
        assert tracked.data.tags["mlflow.parentRunId"] == run.info.run_id
        assert set(tracked.data.params) == set(trial.params)
        assert ("objective" in tracked.data.metrics) == (trial.state.name == "COMPLETE")
        steps = (
            store.get_metric_history(tracked.info.run_id, "val_objective")
            if trial.intermediate_values
            else []
        )
        assert {point.step: point.value for point in steps} == trial.intermediate_values
    assert seen == set(marks)
    assert "out of memory" in nested[4].data.tags["error"]


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, "KILLED"), (signal.SIGKILL, "RUNNING")])
def test_a_killed_search_leaves_no_trial_open_and_its_study_is_gone_on_with(tmp_path, store, sent, status):
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        f"sys.path[:0] = [{str(HERE)!r}]\n"
        "from lung_attention import tracking\nimport test_runs_of_studies as t\n"
        f"root = Path({str(tmp_path)!r})\ntracking.connect(root)\n"
        "def slow(trial):\n"
        "    if trial.number == 2:\n        print('under way', flush=True)\n        time.sleep(300)\n"
        "    return t.bowl(trial)\n"
        "t.search(root, objective=slow)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert any(line.startswith("under way") for line in process.stdout)
        process.send_signal(sent)
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    (left,) = runs(store, "study")
    assert left.info.status == status
    assert not [run for run in runs(store, "trial") if run.info.status == "RUNNING"]
    # Whatever opens a run next, a search of other inputs or `lung-attention track`, marks what was left open.
    fail_abandoned(store, left.info.experiment_id)
    assert [run.info.status for run in runs(store, "study")] == [status.replace("RUNNING", "FAILED")]

    study = search(tmp_path)
    (run,) = runs(store, "study")
    assert run.info.status == "FINISHED"
    nested = runs(store, "trial")
    assert sorted(int(trial.data.tags["trial"]) for trial in nested) == list(range(len(study.trials)))
    assert {trial.data.tags["repeats"] for trial in nested if "repeats" in trial.data.tags} == {"2"}


def test_a_server_that_is_not_there_stops_no_search(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    tracking.connect(tmp_path)
    try:
        assert len(search(tmp_path, trials=3).trials) == 3
    finally:
        mlflow.set_tracking_uri(None)
    assert sum("does not answer" in record.message for record in caplog.records) == 1

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracking.connect(tmp_path)
    try:
        study = search(tmp_path, trials=3, objective=never)  # the same command completes the runs
        client = mlflow.MlflowClient()
        assert [run.info.status for run in runs(client, "study")] == ["FINISHED"]
        found = {int(run.data.tags["trial"]): run.data.metrics["objective"] for run in runs(client, "trial")}
        assert found == {trial.number: trial.value for trial in study.trials}
    finally:
        mlflow.set_tracking_uri(None)


def never(trial):
    raise AssertionError("ran")


def ended_trial(number):
    moment = datetime(2026, 1, 1, 12, number)
    return TrialRecord(
        number=number, state="complete", value=1.0, params={"x": 1}, intermediate={1: 1.5}, started=moment,
        ended=moment, tags={},
    )  # fmt: skip


@pytest.mark.parametrize("status", ["KILLED", "FAILED"])
def test_a_worker_that_ends_early_leaves_the_study_to_the_others(store, status):
    run = StudyRun(IDENTITY, PARAMS)
    run.open()
    (found,) = runs(store, "study")
    store.set_tag(found.info.run_id, "process", "another machine 1 1")  # the last that logged a trial
    run.close(status)
    assert [found.info.status for found in runs(store, "study")] == ["RUNNING"]
    run.trial(ended_trial(0))  # now this one is the last
    run.close(status)
    assert [found.info.status for found in runs(store, "study")] == [status]
    run.trial(ended_trial(1))  # another one's, in truth: it is at work all the same
    assert [found.info.status for found in runs(store, "study")] == ["RUNNING"]
    run.close("FINISHED")
    run.close(status)
    assert [found.info.status for found in runs(store, "study")] == ["FINISHED"]


def test_what_is_missing_of_a_study_is_made_at_its_end(store):
    run = StudyRun(IDENTITY, PARAMS)
    run.open()
    run.trial(ended_trial(0))
    (first,) = runs(store, "trial")
    store.update_run(first.info.run_id, status="RUNNING")  # as if the server had gone away in between
    run.complete([ended_trial(0), ended_trial(1)], {"seconds": 2.0})
    found = {int(trial.data.tags["trial"]): trial for trial in runs(store, "trial")}
    assert len(runs(store, "trial")) == len(found) == 2
    assert found[0].info.run_id == first.info.run_id
    assert {trial.info.status for trial in found.values()} == {"FINISHED"}
    before = runs(store, "trial")
    run.complete([ended_trial(0), ended_trial(1)], {"seconds": 2.0})
    assert [trial.to_dictionary() for trial in runs(store, "trial")] == [
        trial.to_dictionary() for trial in before
    ]
    run.close("FINISHED")


def test_two_workers_that_begin_a_study_at_once_share_its_run(store, monkeypatch):
    one, other = StudyRun(IDENTITY, PARAMS), StudyRun(IDENTITY, PARAMS)
    look = StudyRun._first
    seen = []

    def first(self, wanted):
        seen.append(wanted)
        if len(seen) == 1:
            assert look(self, wanted) is None
            other.open()  # between the first one's look and its run
            return None
        return look(self, wanted)

    monkeypatch.setattr(StudyRun, "_first", first)
    one.open()
    assert len(runs(store, "study")) == 1
    for run in (one, other):
        run.close("FINISHED")
    assert [run.info.status for run in runs(store, "study")] == ["FINISHED"]
