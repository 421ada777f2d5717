"""Bringing the tracking server in line with the files of a cell. Doing it twice changes nothing."""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.tracking import runs
from lung_attention.tracking.content import Content
from lung_attention.tracking.identity import Fit, RunIdentity
from lung_attention.tracking.model import log_model
from lung_attention.tracking.processes import fail_abandoned, held_here
from lung_attention.tracking.registry import register
from lung_attention.tracking.server import address, check_reachable, client, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

# History files keep nine digits, live curves all of them.
_RELATIVE_TOLERANCE = 1e-6

# What a run's curves lack, by fit; `None` stands for the run itself.
Missing = dict[Fit | None, list["Metric"]]


def publish(identity: RunIdentity, content: Content) -> str:
    """Makes the run of a cell complete: curves, scores, plots, files, datasets and model, status FINISHED.

    The newest run whose parameters and curves agree with the files is taken, which is the one that trained,
    and gets what it lacks (the server may have been away). Where there is none, as when results came from a
    cache, a run is made from the files. Other finished runs of the identity are tagged `superseded`. Runs
    that dead processes left open in the experiment are marked FAILED.

    Args:
        identity: What the run is.
        content: What it has to show.

    Returns:
        The run's id.

    Raises:
        TrackingUnavailableError: The server does not answer.
    """
    check_reachable()
    try:
        with _alone(identity):
            return _publish(client(), identity, content)
    except Exception:
        # A server that went away meanwhile raises many kinds of errors; this gives them one name.
        check_reachable()
        raise


def _publish(mlflow_client: MlflowClient, identity: RunIdentity, content: Content) -> str:
    fail_abandoned(mlflow_client, experiment_id(mlflow_client, identity.experiment))
    found = runs.find_cells(mlflow_client, identity)
    for run in sorted(found, key=lambda run: bool(run.info.status != "FINISHED")):
        if _shows_all(run, content):
            runs.settle(mlflow_client, found, run.info.run_id)
            break
        missing = _missing(mlflow_client, run, content)
        if missing is not None:
            _fill(mlflow_client, identity, run, content, missing)
            break
    else:
        tags = {"logged_from": "files"} | ({"device": content.device} if content.device else {})
        run_id = runs.create(mlflow_client, identity, content.params, tags).info.run_id
        held_here.add(run_id)
        run = mlflow_client.get_run(run_id)
        try:
            _fill(mlflow_client, identity, run, content, _all_curves(run, content))
        finally:
            held_here.discard(run_id)
    if content.registered_name and content.model_path:
        register(mlflow_client, mlflow_client.get_run(run.info.run_id), content.registered_name)
    return str(run.info.run_id)


@contextmanager
def _alone(identity: RunIdentity) -> Iterator[None]:
    """Lets the processes of this machine publish a cell one after another, so that the second has no work.

    Processes on several machines may do it at once; `declare_complete` leaves one of their runs.
    """
    name = hashlib.sha256(f"{address()} {identity.stage} {identity.inputs}".encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"lung-attention-{os.getuid()}-{name}.lock"
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def _shows_all(run: Run, content: Content) -> bool:
    tags = run.data.tags
    return runs.is_complete(run) and all(tags.get(name) == value for name, value in content.facets.items())


def _missing(mlflow_client: MlflowClient, run: Run, content: Content) -> Missing | None:
    """What a run's curves lack, or `None` if it cannot be of the training that wrote the files.

    MLflow's parameters and metrics cannot be taken back, so a run that shows something else is left alone.
    """
    tags, logged = run.data.tags, run.data.params
    if run.info.status != "FINISHED" and "abandoned" not in tags:
        return None  # at work, or known to have failed
    if content.device is not None and tags.get("device", content.device) != content.device:
        return None
    if any(logged.get(key, text) != text for key, text in content.texts.items()):
        return None
    if any(name.startswith("test_") and name not in content.scores for name in run.data.metrics):
        return None
    fits = runs.find_fits(mlflow_client, run)
    if not fits.keys() <= content.curves.keys():
        return None
    missing = _all_curves(run, content)
    for fit in missing:
        shown = run if fit is None else fits.get(fit)
        if shown is not None:
            lacking = _lacking(mlflow_client, shown, missing[fit])
            if lacking is None:
                return None
            missing[fit] = lacking
    return missing


def _all_curves(run: Run, content: Content) -> Missing:
    """All epochs of all fits; the run itself shows those of its first fit.

    Their times depend on the run alone, so that the same epoch sent twice is one epoch to MLflow.
    """
    from mlflow.entities import Metric

    def points(curves: Mapping[str, Mapping[int, float]]) -> list[Metric]:
        start = int(run.info.start_time)
        return [
            Metric(name, value, start + epoch, epoch)
            for name, values in curves.items()
            for epoch, value in values.items()
        ]

    by_fit: Missing = {fit: points(curves) for fit, curves in content.curves.items()}
    if not by_fit:
        return {}
    own: Missing = {None: points(next(iter(content.curves.values())))}
    return own if len(by_fit) == 1 else own | by_fit


def _lacking(mlflow_client: MlflowClient, run: Run, expected: list[Metric]) -> list[Metric] | None:
    """Those points of curves that a run lacks, or `None` if it shows others."""
    values = {(point.key, point.step): point.value for point in expected}
    lacking = dict.fromkeys(values)
    for name in {point.key for point in expected} & run.data.metrics.keys():
        for point in mlflow_client.get_metric_history(run.info.run_id, name):
            wanted = values.get((name, point.step), math.nan)
            if not math.isclose(point.value, wanted, rel_tol=_RELATIVE_TOLERANCE):
                return None
            lacking.pop((name, point.step), None)
    return [point for point in expected if (point.key, point.step) in lacking]


def _fill(
    mlflow_client: MlflowClient, identity: RunIdentity, run: Run, content: Content, missing: Missing
) -> None:
    """Logs what a run lacks and declares it complete."""
    run_id = str(run.info.run_id)
    # The training is over: a run that is ended now is not left open if this process dies in mid-work. The
    # tag `complete` says when all is there.
    if run.info.status != "FINISHED":
        mlflow_client.set_terminated(run_id, "FINISHED")
    if "abandoned" in run.data.tags:
        mlflow_client.delete_tag(run_id, "abandoned")
    if runs.is_complete(run):
        mlflow_client.set_tag(run_id, "complete", "false")
    logged = run.data.params
    runs.log_params(mlflow_client, run_id, {k: v for k, v in content.params.items() if k not in logged})
    _fill_fits(mlflow_client, run, missing, content)
    scores = _new_scores(run.data.metrics, content.scores)
    runs.log_metrics(mlflow_client, run_id, missing.get(None, []) + scores)
    if content.split is not None and run.data.tags.get("datasets") != content.facets["datasets"]:
        runs.log_split(mlflow_client, run_id, identity, content.split)
    if run.data.tags.get("content") != content.facets["content"]:
        with tempfile.TemporaryDirectory() as folder:
            content.write(Path(folder))
            mlflow_client.log_artifacts(run_id, folder)
        mlflow_client.set_tag(run_id, "content", content.facets["content"])
    if content.model_path and run.data.tags.get("model") != content.facets["model"]:
        model_id = log_model(mlflow_client, run_id, content.model_path, content.classes)
        runs.set_tags(mlflow_client, run_id, {"model": content.facets["model"], "model_id": model_id})
    runs.declare_complete(mlflow_client, identity, run_id, content.facets, now_ms=int(time.time() * 1000))


def _fill_fits(mlflow_client: MlflowClient, run: Run, missing: Missing, content: Content) -> None:
    nested_fits = [fit for fit in missing if fit is not None]
    fits = runs.find_fits(mlflow_client, run) if nested_fits else {}
    for fit in nested_fits:
        nested = fits[fit].info.run_id if fit in fits else runs.create_fit(mlflow_client, run, fit)
        scores = {f"test_{name}": value for name, value in content.fit_scores.get(fit, {}).items()}
        logged = fits[fit].data.metrics if fit in fits else {}
        runs.log_metrics(mlflow_client, nested, missing[fit] + _new_scores(logged, scores))
        if fit not in fits or fits[fit].info.status != "FINISHED":
            mlflow_client.set_terminated(nested, "FINISHED")


def _new_scores(logged: Mapping[str, float], scores: Mapping[str, float]) -> list[Metric]:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    return [Metric(name, value, now_ms, 0) for name, value in scores.items() if logged.get(name) != value]
