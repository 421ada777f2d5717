"""Runs of cells and of their fits: made, found, filled, and taken out of the count by newer ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lung_attention.tracking.identity import Fit, RunIdentity, fit_name
from lung_attention.tracking.processes import code_tags as code_tags
from lung_attention.tracking.processes import process_tags as process_tags
from lung_attention.tracking.server import experiment_id

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

# MLflow's limits on one request.
_METRICS_PER_BATCH = 1000
_PARAMS_PER_BATCH = 100

_COUNTS = {"complete": "true", "superseded": "false"}
_SUPERSEDED = {"complete": "false", "superseded": "true"}


def create(
    client: MlflowClient, identity: RunIdentity, params: Mapping[str, object], tags: Mapping[str, str]
) -> Run:
    """Opens a run, held by this process.

    Args:
        client: The server.
        identity: What the run is.
        params: Parameters; what is no text is logged as JSON.
        tags: Further tags.

    Returns:
        The run. Its status is RUNNING and its tag `complete` is `false`.
    """
    run = client.create_run(
        experiment_id(client, identity.experiment),
        run_name=identity.name,
        tags=identity.tags
        | {"complete": "false", "superseded": "false", "mlflow.runColor": identity.colour}
        | process_tags()
        | code_tags()
        | dict(tags),
    )
    log_params(client, run.info.run_id, params)
    return run


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


def is_complete(run: Run) -> bool:
    """Whether a run shows all of its cell and no newer one took its place."""
    return bool(run.data.tags.get("complete") == "true") and not is_superseded(run)


def is_superseded(run: Run) -> bool:
    """Whether a newer run of the same inputs took the run's place."""
    return bool(run.data.tags.get("superseded") == "true")


def supersede_incomplete(client: MlflowClient, identity: RunIdentity, run_id: str) -> None:
    """After a training: older trainings of the same inputs that were never completed count no more.

    A complete one counts until the new one is complete, too; otherwise there might never be one again.
    """
    for run in find_cells(client, identity):
        if run.info.run_id == run_id or run.info.status != "FINISHED":
            continue
        if not is_complete(run) and not is_superseded(run):
            set_tags(client, run.info.run_id, _SUPERSEDED)


def declare_complete(
    client: MlflowClient, identity: RunIdentity, run_id: str, tags: Mapping[str, str], *, now_ms: int
) -> None:
    """Makes a run the one that counts for its identity; all other ended ones are tagged `superseded`.

    Two processes that do this at once, on two machines, leave exactly one complete run: each first declares
    and then looks, and both know the later one by its tag `completed`.

    Args:
        client: The server.
        identity: What the run is.
        run_id: The run.
        tags: Further tags, set in the same request.
        now_ms: The time in milliseconds since 1970.
    """
    set_tags(client, run_id, {**tags, **_COUNTS, "completed": str(now_ms)})
    settle(client, find_cells(client, identity), run_id)


def settle(client: MlflowClient, found: Sequence[Run], run_id: str) -> None:
    """Supersedes what a complete run of the same identity replaces; failed and open runs stay as they are.

    Args:
        client: The server.
        found: All runs of the identity, the complete one among them.
        run_id: The complete run.
    """
    ours = max(_completed(run) for run in found if run.info.run_id == run_id)
    for run in found:
        if run.info.run_id == run_id or run.info.status != "FINISHED" or is_superseded(run):
            continue
        loser = run_id if is_complete(run) and _completed(run) > ours else run.info.run_id
        set_tags(client, loser, _SUPERSEDED)


def _completed(run: Run) -> tuple[int, str]:
    return int(run.data.tags.get("completed", "0")), str(run.info.run_id)


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Sets tags in one request."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


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


def table_digest(table: pd.DataFrame) -> str:
    """SHA-256 over a table's rows as CSV."""
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def log_split(client: MlflowClient, run_id: str, identity: RunIdentity, table: pd.DataFrame) -> None:
    """Logs which images were in which subset as MLflow datasets, one a subset.

    The tag `datasets` holds the digest of the whole table.

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
            digest=table_digest(rows)[:16],
        )
        inputs.append(
            DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", str(subset))])
        )
    client.log_inputs(run_id, datasets=inputs)
    client.set_tag(run_id, "datasets", table_digest(table))
