"""Bringing the tracking server in line with the files of a cell. Doing it twice changes nothing."""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lung_attention import files as project_files
from lung_attention.tracking import runs
from lung_attention.tracking.model import log_model, model_hash
from lung_attention.tracking.runs import Fit, RunIdentity
from lung_attention.tracking.server import check_reachable, client

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

# Curves[fit][metric][epoch]
Curves = dict[Fit, dict[str, dict[int, float]]]

# History files keep nine digits, live curves all of them.
_RELATIVE_TOLERANCE = 1e-6


def publish(
    identity: RunIdentity,
    *,
    params: Mapping[str, object],
    history: pd.DataFrame,
    metrics: Mapping[str, Any],
    figures: Mapping[str, Figure],
    files: Sequence[Path],
    model_path: Path | None,
    classes: Sequence[str],
    device: str | None = None,
    split: pd.DataFrame | None = None,
) -> str:
    """Makes the run of a cell complete: curves, scores, plots, files and model, status FINISHED.

    The run that trained is taken if its parameters and curves agree with the files, and gets the epochs it
    lacks (the server may have been away). Otherwise, as when results came from a cache, a run is made from
    the files. Other finished runs of the identity are tagged `superseded`, other open ones without a
    process marked FAILED.

    Args:
        identity: What the run is.
        params: Parameters of the training, as given to `live_run`.
        history: seed, fold, epoch and a column a curve; a row an epoch of a fit.
        metrics: The content of `metrics.json`.
        figures: Plots by name (without suffix); logged as PNG below `plots/`.
        files: Files logged below `results/`.
        model_path: The `.keras` file, or `None` where it is not at hand.
        classes: Class names in the order of the model's outputs.
        device: What the training computed on, where known; a run of another device is not taken.
        split: The table of subsets (image, label, group, fold, subset), logged as MLflow datasets.

    Returns:
        The run's id.

    Raises:
        TrackingUnavailableError: The server does not answer.
    """
    check_reachable()
    try:
        return _publish(
            identity, params=params, curves=_curves(history), scores=_scores(metrics), metrics=metrics,
            plots={name: _png(figure) for name, figure in figures.items()}, files=files,
            model_path=model_path, classes=classes, device=device, split=split,
        )  # fmt: skip
    except Exception:
        # A server that went away meanwhile raises many kinds of errors; this gives them one name.
        check_reachable()
        raise


def _publish(
    identity: RunIdentity,
    *,
    params: Mapping[str, object],
    curves: Curves,
    scores: Mapping[str, float],
    metrics: Mapping[str, Any],
    plots: Mapping[str, bytes],
    files: Sequence[Path],
    model_path: Path | None,
    classes: Sequence[str],
    device: str | None,
    split: pd.DataFrame | None,
) -> str:
    mlflow_client = client()
    model = model_hash(model_path, classes) if model_path else None
    content = _digest(params, curves, metrics, plots, files, device, split)
    found = runs.find_cells(mlflow_client, identity)
    for run in found:
        tags = run.data.tags
        is_current = tags.get("content") == content and model in (None, tags.get("model"))
        if is_current and tags.get("complete") == "true" and not runs.is_superseded(run):
            runs.settle(mlflow_client, [other for other in found if other is not run])
            return str(run.info.run_id)

    chosen = next((run for run in found if _agrees(mlflow_client, run, params, curves, scores, device)), None)
    if chosen is None:
        tags = {"logged_from": "files"} | ({"device": device} if device else {})
        chosen = mlflow_client.get_run(runs.create(mlflow_client, identity, params, tags))
    run_id = str(chosen.info.run_id)
    # The training is over: a run that is ended now is not left open if this process dies in mid-work. The
    # tag `complete` says when all is there.
    if chosen.info.status != "FINISHED":
        mlflow_client.set_terminated(run_id, "FINISHED")
    mlflow_client.set_tag(run_id, "complete", "false")
    logged = chosen.data.params
    runs.log_params(mlflow_client, run_id, {k: v for k, v in params.items() if k not in logged})
    _complete_curves(mlflow_client, chosen, curves)
    _log_scores(mlflow_client, chosen, scores)
    if split is not None:
        runs.log_split(mlflow_client, run_id, identity, split)
    _log_artifacts(mlflow_client, run_id, metrics, plots, files)
    if model_path and model and chosen.data.tags.get("model") != model:
        log_model(mlflow_client, run_id, model_path, classes)
        mlflow_client.set_tag(run_id, "model", model)
    mlflow_client.set_tag(run_id, "content", content)
    if runs.is_superseded(chosen):
        mlflow_client.delete_tag(run_id, "superseded")
    mlflow_client.set_tag(run_id, "complete", "true")
    runs.settle(mlflow_client, [other for other in found if other.info.run_id != run_id])
    return run_id


def _curves(history: pd.DataFrame) -> Curves:
    """Splits a history by fit, in the order of its rows, without what was not measured."""
    names = [name for name in history.columns if name not in ("seed", "fold", "epoch")]
    curves: Curves = {}
    for row in history.to_dict("records"):
        fit = curves.setdefault((int(row["seed"]), int(row["fold"])), {})
        for name in names:
            if not math.isnan(row[name]):
                fit.setdefault(name, {})[int(row["epoch"])] = float(row[name])
    return curves


def _scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Names the test scores as they are named in every run; undefined ones are left out."""
    # A score is what has an interval; sizes and settings have none.
    names = [name for name in metrics if f"{name}_low" in metrics]
    scores = {
        f"test_{name}{suffix}": metrics.get(name + suffix)
        for name in names
        for suffix in ("", "_low", "_high", "_seed_sd")
    }
    for name, values in metrics.get("per_class", {}).items():
        scores |= {f"test_{name}_{key}": value for key, value in values.items()}
    return {
        re.sub(r"[^\w\-. /]", "_", name): float(value)
        for name, value in scores.items()
        if isinstance(value, int | float) and not math.isnan(value)
    }


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # Without Matplotlib's version in the file, equal plots are equal bytes.
    figure.savefig(buffer, format="png", dpi=120, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def _digest(
    params: Mapping[str, object],
    curves: Curves,
    metrics: Mapping[str, Any],
    plots: Mapping[str, bytes],
    files: Sequence[Path],
    device: str | None,
    split: pd.DataFrame | None,
) -> str:
    """SHA-256 over all that is logged but the model."""
    parts = [
        {key: runs.param_text(value) for key, value in params.items()},
        [[fit, values] for fit, values in curves.items()],
        metrics,
        {name: hashlib.sha256(content).hexdigest() for name, content in plots.items()},
        [[path.name, project_files.sha256(path)] for path in files],
        device,
        None if split is None else hashlib.sha256(split.to_csv(index=False).encode()).hexdigest(),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _agrees(
    mlflow_client: MlflowClient,
    run: Run,
    params: Mapping[str, object],
    curves: Curves,
    scores: Mapping[str, float],
    device: str | None,
) -> bool:
    """Whether a run can be of the training that wrote the files, and can be completed.

    MLflow's parameters and metrics cannot be taken back, so a run that shows something else is left alone.
    """
    if run.info.status not in ("FINISHED", "RUNNING") or runs.is_alive(mlflow_client, run):
        return False
    tags, logged = run.data.tags, run.data.params
    texts = {key: runs.param_text(value) for key, value in params.items()}
    if device is not None and tags.get("device", device) != device:
        return False
    if any(logged.get(key, text) != text for key, text in texts.items()):
        return False
    if any(name.startswith("test_") and name not in scores for name in run.data.metrics):
        return False
    fits = runs.find_fits(mlflow_client, run)
    if not fits.keys() <= curves.keys():
        return False
    pairs = [(fits[fit].info.run_id, curves[fit]) for fit in fits]
    if curves:
        pairs.append((run.info.run_id, next(iter(curves.values()))))
    return all(_missing(mlflow_client, run_id, expected) is not None for run_id, expected in pairs)


def _missing(
    mlflow_client: MlflowClient, run_id: str, curves: Mapping[str, Mapping[int, float]]
) -> list[Metric] | None:
    """What a run's curves lack, or `None` if they show something else."""
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    missing = []
    for name, expected in curves.items():
        logged = {point.step: point.value for point in mlflow_client.get_metric_history(run_id, name)}
        for epoch, value in logged.items():
            if not math.isclose(value, expected.get(epoch, math.nan), rel_tol=_RELATIVE_TOLERANCE):
                return None
        missing += [
            Metric(name, value, now_ms, epoch) for epoch, value in expected.items() if epoch not in logged
        ]
    return missing


def _complete_curves(mlflow_client: MlflowClient, run: Run, curves: Curves) -> None:
    """Logs the epochs that the run and its fits lack."""
    fits = runs.find_fits(mlflow_client, run)
    for number, (fit, expected) in enumerate(curves.items()):
        if number == 0:
            runs.log_metrics(
                mlflow_client, run.info.run_id, _missing(mlflow_client, run.info.run_id, expected) or []
            )
        if len(curves) == 1:
            break
        nested = fits[fit].info.run_id if fit in fits else runs.create_fit(mlflow_client, run, fit)
        if fit not in fits or fits[fit].info.status != "FINISHED":
            mlflow_client.set_terminated(nested, "FINISHED")
        runs.log_metrics(mlflow_client, nested, _missing(mlflow_client, nested, expected) or [])


def _log_scores(mlflow_client: MlflowClient, run: Run, scores: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    now_ms = int(time.time() * 1000)
    logged = run.data.metrics
    changed = [Metric(name, value, now_ms, 0) for name, value in scores.items() if logged.get(name) != value]
    runs.log_metrics(mlflow_client, run.info.run_id, changed)


def _log_artifacts(
    mlflow_client: MlflowClient,
    run_id: str,
    metrics: Mapping[str, Any],
    plots: Mapping[str, bytes],
    files: Sequence[Path],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in plots.items():
            path = Path(folder) / "plots" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        matrix = metrics.get("confusion_matrix")
        if matrix is not None:
            project_files.write_json(Path(folder) / "confusion_matrix.json", matrix)

        mlflow_client.log_artifacts(run_id, folder)
    for path in files:
        mlflow_client.log_artifact(run_id, str(path), "results")
