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

_KEY = "results"
_TAG = f"mlflow.sharedViewState.{_KEY}"
_BEST = "test_balanced_accuracy"
# In pixels: the longest name of a cell, and the names of metrics, are read in full.
_NAME_WIDTH = 420
_WIDTHS = {
    _BEST: 180,
    "test_accuracy": 110,
    "test_auroc_ovr": 120,
    "test_log_loss": 110,
    "test_mcc": 90,
    f"{_BEST}_low": 200,
    f"{_BEST}_high": 200,
}


def view_state() -> dict[str, object]:
    """The view, as MLflow writes one that is shared."""
    name = "attributes.`Run Name`"
    widths = {name: _NAME_WIDTH} | {f"metrics.`{metric}`": width for metric, width in _WIDTHS.items()}
    return {
        "searchFilter": RESULTS,
        "orderByKey": f"metrics.`{_BEST}`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": [column for column in widths if column != name],
        "columnOrder": list(widths),
        "columnWidths": widths,
    }


def share_view(client: MlflowClient, experiment: Experiment) -> str:
    """Keeps the view with an experiment, unless it is there; returns the end of the address that opens it."""
    state = json.dumps(view_state())
    if experiment.tags.get(_TAG) != state:
        from mlflow.exceptions import MlflowException

        with suppress(MlflowException):  # who may only read has the view that was kept last, or none
            client.set_experiment_tag(experiment.experiment_id, _TAG, state)
    # The list of trainings, and not that of chats, which MLflow opens by itself.
    return (
        f"experiments/{experiment.experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={_KEY}"
    )
