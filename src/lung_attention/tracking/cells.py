"""Bringing the run of a cell in line with its files: what `evaluate` and `lung-attention track` do."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lung_attention.cells import Cell, Paths
from lung_attention.data.catalog import DATASETS
from lung_attention.files import read_json, read_table
from lung_attention.plots.figures import cell_figures
from lung_attention.tracking.publish import publish
from lung_attention.tracking.runs import RunIdentity
from lung_attention.tracking.server import TrackingUnavailableError, connect


def identity_of(cell: Cell, paths: Paths, inputs: str) -> RunIdentity:
    """What the run of a cell is.

    Args:
        cell: The cell.
        paths: The profile's files.
        inputs: The hash of the training's inputs.

    Returns:
        The identity under which training and evaluation find the same run.
    """
    return RunIdentity(
        experiment=paths.experiment, name=cell.name, stage=cell.stage, inputs=inputs, **asdict(cell)
    )


def cells_with_results(paths: Paths) -> list[Cell]:
    """The cells of a profile that have committed figures, whatever the matrix covers now."""
    found = [read_json(path) for path in sorted(paths.results.glob("cells/*/metrics.json"))]
    return [
        Cell(*(values[factor] for factor in ("dataset", "backbone", "head", "split"))) for values in found
    ]


def publish_cell(cell: Cell, paths: Paths, *, root: Path) -> str:
    """Completes the run of a cell from its committed figures and, where it is at hand, its model.

    Args:
        cell: The cell.
        paths: The profile's files, relative to the current folder.
        root: The project's root, where the default tracking database lies.

    Returns:
        The run's id.

    Raises:
        TrackingUnavailableError: The server does not answer.
    """
    metrics: dict[str, Any] = read_json(paths.metrics(cell))
    predictions = read_table(paths.predictions(cell))
    history = read_table(paths.history(cell), text=())
    classes = DATASETS[cell.dataset].classes
    model = paths.model(cell)
    split = paths.split(cell.dataset, cell.split)
    connect(root)
    return publish(
        identity_of(cell, paths, metrics["inputs"]),
        params=metrics["params"],
        history=history,
        metrics={key: value for key, value in metrics.items() if key not in ("inputs", "params")},
        figures=cell_figures(predictions, history, classes),
        files=[paths.metrics(cell), paths.predictions(cell)],
        model_path=model if model.exists() else None,
        classes=classes,
        device=metrics["device"],
        split=read_table(split) if split.exists() else None,
    )


def try_publish_cell(cell: Cell, paths: Paths, *, root: Path) -> None:
    """Like `publish_cell`, but a server that does not answer is told and costs nobody their results."""
    try:
        publish_cell(cell, paths, root=root)
    except TrackingUnavailableError as error:
        warnings.warn(
            f"{error}\n  {cell.name}: complete its run later with: lung-attention track", stacklevel=2
        )
