"""Publication of a cell's files: its run shows what they say. Doing it twice changes nothing."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from lung_attention.cells import Cell
from lung_attention.paths import Paths
from lung_attention.tracking import runs
from lung_attention.tracking.curves import Curves
from lung_attention.tracking.identity import RunIdentity
from lung_attention.tracking.model import log_model
from lung_attention.tracking.packed import NOTE
from lung_attention.tracking.processes import fail_abandoned
from lung_attention.tracking.registry import register
from lung_attention.tracking.results import CellResults
from lung_attention.tracking.server import (
    UPLOAD_SECONDS,
    address,
    check_reachable,
    client,
    connect,
    experiment_id,
    failures_told,
    impatient,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

_LOCKS = 32
"""Files at most in the folder for temporary ones, however many checkouts and cells there are."""

_LONGEST_NOTE = 8000
"""Characters of a tag that MLflow's databases hold."""

_SUPERSEDED = {"complete": "false", "superseded": "true"}


def publish_cell(cell: Cell, paths: Paths, *, root: Path) -> str:
    """Makes the run of a cell complete: scores, plots, files, datasets and, where it is at hand, model.

    The files win over what was logged live. The newest run of a training that ended well gets what it lacks;
    where there is none, as when the server was away or results came from a cache, a run is made from the
    files. Other ended runs of the same inputs are tagged `superseded`. Runs that dead processes left open in
    the experiment are marked FAILED.

    Args:
        cell: A cell with results.
        paths: The profile's files, relative to the current folder.
        root: The project's root, where the default tracking database lies.

    Returns:
        The run's id.

    Raises:
        TrackingUnavailableError: The server does not answer.
    """
    connect(root)
    check_reachable()
    results = CellResults(cell, paths)
    with _alone(results.identity), failures_told(), impatient(UPLOAD_SECONDS, retries=2):
        return _publish(client(), results)


def _alone(identity: RunIdentity) -> FileLock:
    """Lets the processes of this machine publish a cell one after another: the second has no work then.

    The files stay, since to remove one on which another process waits would let two go on at a time. So there
    are few of them: cells that share one wait for each other without need, for some seconds.
    """
    key = f"{address()} {identity.cell.stage} {identity.inputs}"
    number = int(hashlib.sha256(key.encode()).hexdigest(), 16) % _LOCKS
    return FileLock(Path(tempfile.gettempdir()) / f"lung-attention-{os.getuid()}-{number}.lock")


def _publish(mlflow_client: MlflowClient, results: CellResults) -> str:
    identity = results.identity
    fail_abandoned(mlflow_client, experiment_id(mlflow_client, identity.experiment))
    found = runs.find_cells(mlflow_client, identity)
    run = next((run for run in found if _is_of(run, results)), None) or _from_files(mlflow_client, results)
    run_id = str(run.info.run_id)
    if not runs.is_complete(run) or results.facets.items() - run.data.tags.items():
        _fill(mlflow_client, run, results)
    for other in found:
        ended = other.info.status != "RUNNING"
        if ended and other.info.run_id != run_id and not runs.is_superseded(other):
            runs.set_tags(mlflow_client, other.info.run_id, _SUPERSEDED)
    if results.model and results.registered_name:
        description = results.card or results.model.description
        register(mlflow_client, mlflow_client.get_run(run_id), results.registered_name, description)
    return run_id


def _is_of(run: Run, results: CellResults) -> bool:
    """Whether a run is of the training that wrote the files.

    That of a training that ended well and whose files were not published yet is: equal inputs give equal
    results on the same device. A score cannot be taken back in MLflow, so none may be too many.
    """
    tags = run.data.tags
    if run.info.status != "FINISHED":
        return False
    if any(name.startswith("test_") and name not in results.scores for name in run.data.metrics):
        return False
    if "history" in tags:
        return bool(tags["history"] == results.facets["history"])
    return not runs.is_superseded(run) and bool(tags.get("device") == results.metrics["device"])


def _from_files(mlflow_client: MlflowClient, results: CellResults) -> Run:
    """Makes a run with the curves of the files."""
    tags = {"logged_from": "files", "device": results.metrics["device"]}
    run = runs.create(mlflow_client, results.identity, results.metrics["params"], tags)
    curves = Curves(mlflow_client, run)
    for row in results.history.to_dict("records"):
        seed, fold, epoch = (int(row.pop(name)) for name in ("seed", "fold", "epoch"))
        curves.add(seed, fold, epoch, {str(name): value for name, value in row.items()})
    curves.send()
    mlflow_client.set_tag(run.info.run_id, "history", results.facets["history"])
    curves.end("FINISHED")
    return mlflow_client.get_run(run.info.run_id)


def _fill(mlflow_client: MlflowClient, run: Run, results: CellResults) -> None:
    """Logs what a run lacks and declares it complete."""
    run_id, tags, facets = str(run.info.run_id), run.data.tags, results.facets
    runs.log_metrics(mlflow_client, run_id, _new(run, results.scores))
    for fit, nested in runs.find_fits(mlflow_client, run).items():
        scores = _new(nested, results.fit_scores.get(fit, {}))
        runs.log_metrics(mlflow_client, nested.info.run_id, scores)
    if results.split is not None and tags.get("datasets") != facets["datasets"]:
        runs.log_split(mlflow_client, run_id, results.cell, results.split)
    if tags.get("content") != facets["content"]:
        with tempfile.TemporaryDirectory() as folder:
            results.write(Path(folder))
            mlflow_client.log_artifacts(run_id, folder)
        mlflow_client.set_tag(run_id, "content", facets["content"])
    if results.model and tags.get("model") != facets["model"]:
        model_id = log_model(mlflow_client, run_id, results.model)
        runs.set_tags(mlflow_client, run_id, {"model": facets["model"], "model_id": model_id})
    if results.card and tags.get("card") != facets["card"]:
        mlflow_client.log_text(run_id, results.card, "model_card.md")
        runs.set_tags(mlflow_client, run_id, {NOTE: results.card[:_LONGEST_NOTE], "card": facets["card"]})
    runs.set_tags(mlflow_client, run_id, facets | runs.complete_tags(run))


def _new(run: Run, scores: Mapping[str, float]) -> list[Metric]:
    """The scores that a run does not show yet."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    shown = run.data.metrics
    return [Metric(name, value, now_ms, 0) for name, value in scores.items() if shown.get(name) != value]
