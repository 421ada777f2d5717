"""The runs of a profile's cells: what `evaluate`, `lung-attention track` and the gate call."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lung_attention.cells import FACTORS, Cell
from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.files import read_json, read_table
from lung_attention.paths import PARAMS, Paths
from lung_attention.tracking.content import Content
from lung_attention.tracking.identity import Fit, RunIdentity
from lung_attention.tracking.publish import publish
from lung_attention.tracking.registry import find_version, model_name, move_champions
from lung_attention.tracking.runs import find_cells, is_complete
from lung_attention.tracking.server import TrackingUnavailableError, check_reachable, client, connect
from lung_attention.workflow.status import lock_entry

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


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
        experiment=paths.experiment, name=cell.name, stage=f"train@{cell.name}", inputs=inputs, **asdict(cell)
    )


def cells_with_results(paths: Paths, patterns: Sequence[str] = ("*",)) -> list[Cell]:
    """The cells of a profile that have committed figures, whatever the matrix covers now.

    Args:
        paths: The profile's files.
        patterns: Names or patterns of which a cell has to match one.

    Returns:
        The cells, by name.

    Raises:
        UserError: There is none.
    """
    found = [read_json(path) for path in sorted(paths.results.glob("cells/*/metrics.json"))]
    if not found:
        raise UserError(f"{paths.results}/cells holds no figures", remedy="dvc repro")
    cells = [Cell(*(values[factor] for factor in FACTORS)) for values in found]
    chosen = [cell for cell in cells if any(fnmatchcase(cell.name, pattern) for pattern in patterns)]
    if not chosen:
        names = "\n  ".join(cell.name for cell in cells)
        raise UserError(f"no cell matches {' '.join(patterns)} among\n  {names}", remedy="quote patterns")
    return chosen


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
    history = read_table(paths.history(cell), text=())
    model = paths.model(cell)
    is_real = model.exists() and _has_real_data(paths)
    split = paths.split(cell.dataset, cell.split)
    connect(root)
    content = Content(
        params=metrics["params"],
        history=history,
        metrics={key: value for key, value in metrics.items() if key not in ("inputs", "params")},
        draw=partial(_draw, cell, paths, history),
        files=[paths.metrics(cell), paths.predictions(cell)],
        classes=load_config(PARAMS).dataset(cell.dataset).labels,
        model_path=model if model.exists() else None,
        device=metrics["device"],
        split=read_table(split) if split.exists() else None,
        lock_entry=lock_entry(cell, paths),
        fit_scores=_fit_scores(cell, paths),
        registered_name=model_name(paths.profile, cell.name) if is_real else None,
    )
    return publish(identity_of(cell, paths, metrics["inputs"]), content)


def _fit_scores(cell: Cell, paths: Paths) -> dict[Fit, dict[str, float]]:
    """The scores of each fit on its own test part; an undefined one, as where a class is absent, is left out.

    A fit of few images has no calibration error worth a number.
    """
    # Here, as scikit-learn takes longer to import than all else that a training logs.
    from lung_attention.evaluation.metrics import predictions_to_arrays, scores

    table = read_table(paths.predictions(cell))
    arrays = predictions_to_arrays(table, load_config(PARAMS).dataset(cell.dataset).labels)
    found: dict[Fit, dict[str, float]] = {}
    for seed, folds, probabilities in zip(arrays.seeds, arrays.folds, arrays.probabilities, strict=True):
        for fold in sorted(set(folds.tolist())):
            rows = folds == fold
            values = scores(arrays.labels[rows], probabilities[rows], bins=1)
            found[seed, fold] = {
                name: value for name, value in values.items() if name != "ece" and not math.isnan(value)
            }
    return found


def _draw(cell: Cell, paths: Paths, history: pd.DataFrame) -> dict[str, Figure]:
    # Here, as Matplotlib and scikit-learn take longer to import than all else that a training logs.
    from lung_attention.plots.figures import cell_figures

    return cell_figures(
        read_table(paths.predictions(cell)), history, load_config(PARAMS).dataset(cell.dataset).labels
    )


def try_publish_cell(cell: Cell, paths: Paths, *, root: Path) -> None:
    """Like `publish_cell`, but a server that does not answer is told and costs nobody their results."""
    try:
        publish_cell(cell, paths, root=root)
    except TrackingUnavailableError as error:
        warnings.warn(
            f"{error}\n  {cell.name}: complete its run later with: lung-attention track", stacklevel=2
        )


def publish_known_figures(identity: RunIdentity) -> None:
    """Completes the run of a training that gave again what the results already show.

    DVC evaluates no predictions anew that it knows, as in a fresh clone on the machine that made the results,
    so nobody else would complete the run.

    Args:
        identity: A training that has ended; its files lie below the current folder.
    """
    cell = Cell(*(getattr(identity, factor) for factor in FACTORS))
    paths = Paths(identity.experiment.rpartition("/")[2])
    known = (paths.metrics(cell), paths.predictions(cell), paths.raw_predictions(cell), paths.history(cell))
    if not all(path.exists() for path in known) or read_json(known[0])["inputs"] != identity.inputs:
        return
    order = ["seed", "image"]
    predicted = read_table(known[2]).sort_values(order, ignore_index=True)
    shown = read_table(known[1]).sort_values(order, ignore_index=True)
    if predicted.equals(shown[predicted.columns]):
        publish_cell(cell, paths, root=Path.cwd())


def promote(cells: Sequence[Cell], paths: Paths, *, root: Path) -> dict[str, str]:
    """Points the alias `champion` of each cell's model to the one that made the figures in the results.

    This is for the gate, once it has passed; no training moves an alias. All versions are looked up before
    the first alias is moved.

    Args:
        cells: The cells that passed.
        paths: The profile's files, relative to the current folder.
        root: The project's root, where the default tracking database lies.

    Returns:
        The version that is the champion now, by registered name. Empty for a profile of stand-ins, whose
        models are not registered.

    Raises:
        UserError: A cell has no figures, or its model is not registered on this server.
        TrackingUnavailableError: The server does not answer.
    """
    if not _has_real_data(paths):
        return {}
    connect(root)
    check_reachable()
    mlflow_client = client()
    versions = {}
    for cell in cells:
        name = model_name(paths.profile, cell.name)
        figures = paths.metrics(cell)
        if not figures.exists():
            raise UserError(f"{figures} is missing", remedy=f"make repro PROFILE={paths.profile}")
        found = find_cells(mlflow_client, identity_of(cell, paths, read_json(figures)["inputs"]))
        current = next(filter(is_complete, found), None)
        version = find_version(mlflow_client, current, name) if current else None
        if version is None:
            raise UserError(
                f"{name}: the model of the committed figures is not registered on this server",
                remedy=f"lung-attention track --profile {paths.profile}, where its files are at hand "
                f"({paths.model(cell)})",
            )
        versions[name] = str(version.version)
    move_champions(mlflow_client, versions)
    return versions


def _has_real_data(paths: Paths) -> bool:
    """Whether nothing in a profile is a stand-in; only then are its models worth a name."""
    profile = load_config(PARAMS).profiles.get(paths.profile)
    if profile is None:
        return False
    return (
        not profile.stand_ins
        and profile.download.source != "embedded"
        and profile.backbone.source != "random"
    )
