"""Two pipelines that log the same cells at once, to a real server on PostgreSQL and to one SQLite file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
import small_pipeline

from lung_attention import tracking

SOURCE = Path(tracking.__file__).parents[2]
TESTS = Path(__file__).parents[1]
WITH_TESTS = {"PYTHONPATH": f"{SOURCE}{os.pathsep}{TESTS}"}


def run_two(root: Path) -> list[str]:
    """Runs both to their ends; returns the ids that they printed."""
    gate = root / "gate"
    processes = []
    for number in range(2):
        own = root / str(number)
        own.mkdir()
        environment = os.environ | WITH_TESTS
        environment.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{root / 'mlflow.db'}")
        processes.append(
            subprocess.Popen(
                [sys.executable, small_pipeline.__file__, str(own), str(gate)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
        )
    gate.touch()
    printed = []
    for process in processes:
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        printed += out.split()
    return printed


def check_runs(client: mlflow.MlflowClient) -> None:
    experiment = client.get_experiment_by_name("lung-attention/sample").experiment_id
    runs = client.search_runs([experiment])
    assert {run.info.status for run in runs} == {"FINISHED"}
    cells = [run for run in runs if run.data.tags["kind"] == "cell"]
    fits = [run for run in runs if run.data.tags["kind"] == "fit"]
    # Each process trained each cell; none took the other's living run. A server too busy to answer may
    # have made a run for which its client asked again.
    assert len(cells) >= 2 * len(small_pipeline.CELLS)
    assert len(fits) == len(cells) * small_pipeline.FOLDS
    for run in fits:
        points = client.get_metric_history(run.info.run_id, "loss")
        assert sorted(point.step for point in points) == [1, 2, 3]
    for cell in small_pipeline.CELLS:
        own = [run for run in cells if run.info.run_name == cell.name]
        (complete,) = (run for run in own if run.data.tags["complete"] == "true")
        assert complete.data.tags["superseded"] == "false"
        assert {run.data.tags["superseded"] for run in own if run is not complete} == {"true"}
        assert complete.data.metrics["test_accuracy"] == 0.8
        files = {file.path for file in client.list_artifacts(complete.info.run_id, "results")}
        assert files == {"results/metrics.json", "results/predictions.csv"}


def test_on_a_server_with_postgresql(server, postgres, tmp_path):
    run_two(tmp_path)
    tracking.connect(tmp_path)
    check_runs(mlflow.MlflowClient())
    assert not list(tmp_path.rglob("mlflow.db"))


def test_on_one_sqlite_file(client, store):
    run_two(store)
    check_runs(client)


@pytest.mark.parametrize(("place", "call"), [("runs.log_params", 1), ("Curves.send", 2), ("publish._new", 1)])
def test_a_killed_pipeline_is_taken_up_by_the_next(client, store, place, call):
    """Killed when its run was just opened, in mid-training, and in mid-publication."""
    environment = os.environ | WITH_TESTS
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{store / 'mlflow.db'}"
    owner, _, name = place.rpartition(".")
    script = f"""
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {str(Path(small_pipeline.__file__).parent)!r})
import small_pipeline
from lung_attention.tracking import publish, runs
from lung_attention.tracking.curves import Curves
real, calls = {place}, []
def killed_there(*arguments, **named):
    calls.append(1)
    if len(calls) == {call}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **named)
setattr({owner}, {name!r}, killed_there)
small_pipeline.run_pipeline(Path({str(store)!r}))
"""
    killed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert killed.returncode == -9, killed.stderr
    small_pipeline.run_pipeline(store)
    experiment = client.get_experiment_by_name("lung-attention/sample").experiment_id
    runs = client.search_runs([experiment])
    assert {run.info.status for run in runs} <= {"FINISHED", "FAILED"}
    complete = [run.info.run_name for run in runs if run.data.tags.get("complete") == "true"]
    assert sorted(complete) == sorted(cell.name for cell in small_pipeline.CELLS)
