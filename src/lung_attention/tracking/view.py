"""What MLflow's list of runs shows when it is opened by our link: results, the best first, in few columns.

MLflow keeps a view that is shared as a tag of the experiment, and opens it by its key.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

RESULTS = "tags.complete = 'true'"
"""Which runs are results: MLflow's filter."""

EXPERIMENTS = "tags.complete = 'experiment'"
"""Which are of DVC's experiments, with the experiment's name behind the cell's."""

_KEYS = {RESULTS: "results", EXPERIMENTS: "experiments"}
_BEST = "test_balanced_accuracy"
# In pixels: the longest name of a cell, that of an experiment, and the names of metrics are read in full.
_NAME_WIDTHS = {RESULTS: 420, EXPERIMENTS: 600}
_WIDTHS = {
    _BEST: 180,
    "test_accuracy": 110,
    "test_auroc_ovr": 120,
    "test_log_loss": 110,
    "test_mcc": 90,
    f"{_BEST}_low": 200,
    f"{_BEST}_high": 200,
}


def view_state(shown: str) -> dict[str, object]:
    """A view, as MLflow writes one that is shared; `shown` is `RESULTS` or `EXPERIMENTS`."""
    name = "attributes.`Run Name`"
    widths = {name: _NAME_WIDTHS[shown]} | {f"metrics.`{metric}`": width for metric, width in _WIDTHS.items()}
    return {
        "searchFilter": shown,
        "orderByKey": f"metrics.`{_BEST}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": [column for column in widths if column != name],
        "columnOrder": list(widths),
        "columnWidths": widths,
    }


def share_view(client: MlflowClient, experiment: Experiment, shown: str = RESULTS) -> str:
    """Keeps a view with an experiment, unless it is there; returns the end of the address that opens it."""
    tag, state = f"mlflow.sharedViewState.{_KEYS[shown]}", json.dumps(view_state(shown))
    if experiment.tags.get(tag) != state:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # who may only read has the view that was kept last, or none
            client.set_experiment_tag(experiment.experiment_id, tag, state)
    # The list of trainings, and not that of chats, which MLflow opens by itself.
    runs = f"experiments/{experiment.experiment_id}/runs"
    return f"{runs}?workflowType=machine_learning&viewStateShareKey={_KEYS[shown]}"
