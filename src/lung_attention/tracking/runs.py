"""Runs and what identifies them: who made a run, whether it still lives, which one counts."""

from __future__ import annotations

import colorsys
import hashlib
import json
import os
import platform
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from lung_attention.data.catalog import DATASETS
from lung_attention.tracking.server import experiment_id

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

# MLflow's limits on one request.
_METRICS_PER_BATCH = 1000
_PARAMS_PER_BATCH = 100

# A run of another machine that has sent nothing for so long is dead: system metrics come every few seconds.
_SILENCE_SECONDS = 3600

_PACKAGES = ("lung-attention", "keras", "tensorflow", "numpy", "pandas", "scikit-learn", "mlflow", "dvc")

_BACKBONES = ("mobilenetv2", "densenet121")

Fit = tuple[int, int]  # seed and fold

# Runs that this process works on; another run with its tag was left open when the server was away.
held_here: set[str] = set()


@dataclass(frozen=True)
class RunIdentity:
    """What a run is. Two runs with equal `stage` and `inputs` are the same training.

    Attributes:
        experiment: `lung-attention/<profile>`.
        name: The cell's name.
        stage: The DVC stage that trains it.
        inputs: SHA-256 (64 hexadecimal digits) over everything the training reads.
        dataset: Dataset id.
        backbone: Backbone name.
        head: `plain` or `attention`.
        split: `published` or `grouped`.
    """

    experiment: str
    name: str
    stage: str
    inputs: str
    dataset: str
    backbone: str
    head: str
    split: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which people filter and by which the run is found again."""
        fields = asdict(self)
        return {"kind": "cell"} | {
            key: fields[key] for key in ("stage", "inputs", "dataset", "backbone", "head", "split")
        }


def create(
    client: MlflowClient, identity: RunIdentity, params: Mapping[str, object], tags: Mapping[str, str]
) -> str:
    """Opens a run.

    Args:
        client: The server.
        identity: What the run is.
        params: Parameters; what is no text is logged as JSON.
        tags: Further tags.

    Returns:
        The run's id. Its status is RUNNING and its tag `complete` is `false`.
    """
    run = client.create_run(
        experiment_id(client, identity.experiment),
        run_name=identity.name,
        tags=identity.tags
        | {"complete": "false", "mlflow.runColor": colour(identity)}
        | code_tags()
        | dict(tags),
    )
    log_params(client, run.info.run_id, params)
    return str(run.info.run_id)


def colour(identity: RunIdentity) -> str:
    """The run's colour in MLflow's charts, `#rrggbb`.

    MLflow picks one of a few by the run's id, so that two of six often look alike. Here the hue tells the
    dataset and head, the lightness the backbone, the saturation the split.
    """
    hue = _place(identity.dataset, list(DATASETS)) + 0.4 * (identity.head == "attention")
    lightness = (0.3, 0.6, 0.45)[_place(identity.backbone, _BACKBONES)]
    saturation = 0.4 if identity.split == "grouped" else 0.85
    rgb = colorsys.hls_to_rgb(hue / (len(DATASETS) + 1), lightness, saturation)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def _place(name: str, known: Sequence[str]) -> int:
    return known.index(name) if name in known else len(known)


def create_fit(client: MlflowClient, parent: Run, fit: Fit) -> str:
    """Opens the nested run of one fit of a cell and returns its id."""
    seed, fold = fit
    # Without the tags of its cell, so that a filter by dataset or head lists cells, each once.
    tags = {"kind": "fit", "seed": str(seed), "fold": str(fold), "cell": str(parent.info.run_name)}
    run = client.create_run(
        parent.info.experiment_id,
        run_name=fit_name(fit),
        tags=tags | {"mlflow.parentRunId": parent.info.run_id},
    )
    return str(run.info.run_id)


def fit_name(fit: Fit) -> str:
    """The name of a fit's run; fold -1 is the refit on all images."""
    seed, fold = fit
    return f"seed-{seed} refit" if fold == -1 else f"seed-{seed} fold-{fold}"


def find_cells(client: MlflowClient, identity: RunIdentity) -> list[Run]:
    """All runs of an identity: those that count before superseded ones, newest first."""
    runs = client.search_runs(
        [experiment_id(client, identity.experiment)],
        f"tags.kind = 'cell' and tags.stage = '{identity.stage}' and tags.inputs = '{identity.inputs}'",
        order_by=["attributes.start_time DESC"],
    )
    return sorted(runs, key=is_superseded)


def find_fits(client: MlflowClient, parent: Run) -> dict[Fit, Run]:
    """The nested runs of a cell's run."""
    runs = client.search_runs(
        [parent.info.experiment_id],
        f"tags.kind = 'fit' and tags.mlflow.parentRunId = '{parent.info.run_id}'",
    )
    return {(int(run.data.tags["seed"]), int(run.data.tags["fold"])): run for run in runs}


def is_superseded(run: Run) -> bool:
    """Whether a newer training of the same inputs took the run's place."""
    return bool(run.data.tags.get("superseded") == "true")


def is_alive(client: MlflowClient, run: Run) -> bool:
    """Whether the process that opened a run is still at work on it.

    A process of this machine is looked up. One of another machine counts as alive while it sends metrics.
    """
    import psutil  # type: ignore[import-untyped]

    if run.info.status != "RUNNING":
        return False
    host, _, process = run.data.tags.get("process", "").partition(" ")
    if host == socket.gethostname():
        pid, _, started = process.partition(" ")
        try:
            found = psutil.Process(int(pid))
            if found.pid == os.getpid():
                return run.info.run_id in held_here
            return bool(abs(found.create_time() - float(started)) < 1)
        except (psutil.NoSuchProcess, ValueError):
            return False
    seen = [run.info.start_time] + [
        metric.timestamp
        for key in ("loss", "system/cpu_utilization_percentage")
        for metric in client.get_metric_history(run.info.run_id, key)
    ]
    return bool(time.time() - max(seen) / 1000 < _SILENCE_SECONDS)


def end(client: MlflowClient, run: Run, status: str) -> None:
    """Ends a run and those of its fits that are open."""
    for fit in find_fits(client, run).values():
        if fit.info.status == "RUNNING":
            client.set_terminated(fit.info.run_id, status)
    client.set_terminated(run.info.run_id, status)


def settle(client: MlflowClient, others: Iterable[Run]) -> None:
    """Takes the other runs of an identity out of the count: open ones without a process, finished ones."""
    for run in others:
        if run.info.status == "FINISHED" and not is_superseded(run):
            client.set_tag(run.info.run_id, "superseded", "true")
        elif run.info.status == "RUNNING" and not is_alive(client, run):
            end(client, run, "FAILED")


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, object]) -> None:
    """Logs parameters, as many as there are."""
    from mlflow.entities import Param

    values = [Param(key, param_text(value)) for key, value in params.items()]
    for start in range(0, len(values), _PARAMS_PER_BATCH):
        client.log_batch(run_id, params=values[start : start + _PARAMS_PER_BATCH])


def param_text(value: object) -> str:
    """A parameter as MLflow keeps it, the same before and after the value went through a JSON file."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def log_metrics(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> None:
    """Logs metrics, as many as there are."""
    for start in range(0, len(metrics), _METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS_PER_BATCH])


def log_split(client: MlflowClient, run_id: str, identity: RunIdentity, table: pd.DataFrame) -> None:
    """Logs which images were in which subset as MLflow datasets, one a subset.

    Args:
        client: The server.
        run_id: The run.
        identity: What it is.
        table: The split: image, label, group, fold, subset.
    """
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import DatasetInput, InputTag

    inputs = []
    for subset, rows in table.groupby("subset", sort=False):
        dataset: Any = from_pandas(
            rows.astype(str),
            source=CodeDatasetSource({"mlflow.source.name": f"split@{identity.dataset}-{identity.split}"}),
            targets="label",
            name=f"{identity.dataset}-{identity.split}-{subset}",
            digest=hashlib.sha256(rows.to_csv(index=False).encode()).hexdigest()[:16],
        )
        inputs.append(
            DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", str(subset))])
        )
    client.log_inputs(run_id, datasets=inputs)


def process_tags() -> dict[str, str]:
    """Which process holds a run open, and with which versions it works."""
    import psutil

    own = psutil.Process()
    tags = {"process": f"{socket.gethostname()} {own.pid} {own.create_time():.2f}"}
    tags["version.python"] = platform.python_version()
    for package in _PACKAGES:
        try:
            tags[f"version.{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return tags


def code_tags() -> dict[str, str]:
    """The commit of the code, from the folder at work, which may be DVC's isolated copy."""
    commit = _git("rev-parse", "HEAD")
    if not commit:
        return {"git_commit": "unknown"}
    # Results and locks change while a pipeline runs; the code and the parameters are what made the run.
    changed = _git("status", "--porcelain", "--", "src", "stages", "params.yaml", "dvc.yaml")
    return {
        "git_commit": commit,
        "git_dirty": str(bool(changed)).lower(),
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": os.environ.get("DVC_STAGE", "lung-attention"),
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
