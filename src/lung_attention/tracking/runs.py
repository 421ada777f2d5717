"""Requests about runs of cells and of their fits: make, find and fill them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lung_attention.cells import Cell
from lung_attention.tracking.identity import Fit, RunIdentity
from lung_attention.tracking.processes import code_tags, dvc_experiment, process_tags
from lung_attention.tracking.server import experiment_id

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

EXPERIMENT_TAG = "dvc_experiment"
_GREY = "#8a8a8a"

# MLflow's limits on one request.
_METRICS_PER_BATCH = 1000
_PARAMS_PER_BATCH = 100


def create(
    client: MlflowClient, identity: RunIdentity, params: Mapping[str, object], tags: Mapping[str, str]
) -> Run:
    """Opens a run, held by this process: status RUNNING, tag `complete` `false`.

    One of an experiment of DVC's has its name in the run's, is grey, and has the tag `dvc_experiment`.
    """
    name, colour, about = identity.cell.name, identity.colour, {}
    if (experiment := dvc_experiment()) is not None:
        name, colour, about = f"{name} [{experiment}]", _GREY, {EXPERIMENT_TAG: experiment}
    run = client.create_run(
        experiment_id(client, identity.experiment),
        run_name=name,
        tags=identity.tags
        | {"complete": "false", "superseded": "false", "mlflow.runColor": colour}
        | about
        | process_tags()
        | code_tags()
        | dict(tags),
    )
    # The factors are tags, too; as parameters they have columns when runs are compared.
    log_params(client, run.info.run_id, asdict(identity.cell) | dict(params))
    return run


def create_fit(client: MlflowClient, parent: Run, fit: Fit) -> str:
    """Opens the nested run of one fit of a cell and returns its id."""
    seed, fold = fit
    # Without the tags of its cell, so that a filter by dataset or head lists cells, each once.
    tags = {"kind": "fit", "seed": str(seed), "fold": str(fold), "cell": str(parent.info.run_name)}
    run = client.create_run(
        parent.info.experiment_id,
        run_name=f"seed-{seed} refit" if fold == -1 else f"seed-{seed} fold-{fold}",
        tags=tags | {"mlflow.parentRunId": parent.info.run_id},
    )
    return str(run.info.run_id)


def find_cells(client: MlflowClient, identity: RunIdentity) -> list[Run]:
    """All runs of an identity: those that count before superseded ones, newest first."""
    found = client.search_runs(
        [experiment_id(client, identity.experiment)],
        f"tags.kind = 'cell' and tags.stage = '{identity.cell.stage}' and tags.inputs = '{identity.inputs}'",
        order_by=["attributes.start_time DESC"],
    )
    return sorted(found, key=is_superseded)


def find_fits(client: MlflowClient, parent: Run) -> dict[Fit, Run]:
    """The nested runs of a cell's run."""
    found = client.search_runs(
        [parent.info.experiment_id],
        f"tags.kind = 'fit' and tags.mlflow.parentRunId = '{parent.info.run_id}'",
    )
    return {(int(run.data.tags["seed"]), int(run.data.tags["fold"])): run for run in found}


def is_complete(run: Run) -> bool:
    """Whether a run shows all of its cell and no other took its place; those of experiments never do."""
    return bool(run.data.tags.get("complete") == "true") and not is_superseded(run)


def complete_tags(run: Run) -> dict[str, str]:
    """The tags of a run that shows all: a result, or what an experiment gave."""
    return {
        "complete": "experiment" if EXPERIMENT_TAG in run.data.tags else "true",
        "superseded": "false",
    }


def is_superseded(run: Run) -> bool:
    """Whether another run of the same inputs took the run's place."""
    return bool(run.data.tags.get("superseded") == "true")


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, str]) -> None:
    """Sets tags in one request."""
    from mlflow.entities import RunTag

    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])


def log_params(client: MlflowClient, run_id: str, params: Mapping[str, object]) -> None:
    """Logs parameters, as many as there are; what is no text becomes JSON."""
    from mlflow.entities import Param

    texts = {
        key: value if isinstance(value, str) else json.dumps(value, default=str)
        for key, value in params.items()
    }
    values = [Param(key, text) for key, text in texts.items()]
    for start in range(0, len(values), _PARAMS_PER_BATCH):
        client.log_batch(run_id, params=values[start : start + _PARAMS_PER_BATCH])


def log_metrics(client: MlflowClient, run_id: str, metrics: Sequence[Metric]) -> None:
    """Logs metrics, as many as there are."""
    for start in range(0, len(metrics), _METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + _METRICS_PER_BATCH])


def table_digest(table: pd.DataFrame) -> str:
    """SHA-256 over a table's rows as CSV."""
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def log_split(client: MlflowClient, run_id: str, cell: Cell, table: pd.DataFrame) -> None:
    """Logs which images were in which subset as MLflow datasets, one a subset.

    The tag `datasets` holds the digest of the whole table: image, label, group, fold, subset.
    """
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.pandas_dataset import from_pandas
    from mlflow.entities import DatasetInput, InputTag

    name, inputs = f"{cell.dataset}-{cell.split}", []
    for subset, rows in table.groupby("subset", sort=False):
        dataset: Any = from_pandas(
            rows.astype(str),
            source=CodeDatasetSource({"mlflow.source.name": f"split@{name}"}),
            targets="label",
            name=f"{name}-{subset}",
            digest=table_digest(rows)[:16],
        )
        inputs.append(
            DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", str(subset))])
        )
    client.log_inputs(run_id, datasets=inputs)
    client.set_tag(run_id, "datasets", table_digest(table))
