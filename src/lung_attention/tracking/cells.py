"""The cells of a profile in MLflow: what stages, `lung-attention track` and the gate ask for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from lung_attention.cells import FACTORS, Cell
from lung_attention.errors import UserError
from lung_attention.files import read_json, read_table
from lung_attention.paths import Paths
from lung_attention.tracking.identity import RunIdentity
from lung_attention.tracking.publish import publish_cell
from lung_attention.tracking.registry import find_version, move_champions
from lung_attention.tracking.results import CellResults
from lung_attention.tracking.runs import find_cells, is_complete
from lung_attention.tracking.server import TrackingUnavailableError, check_reachable, client, connect


def identity_of(cell: Cell, paths: Paths, inputs: str) -> RunIdentity:
    """The identity of a cell's run, from the hash of its training's inputs."""
    return RunIdentity(paths.experiment, cell, inputs)


def cells_with_results(paths: Paths, patterns: Sequence[str] = ("*",)) -> list[Cell]:
    """The cells of a profile that have committed metrics, whatever the matrix covers now.

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
        raise UserError(
            f"{paths.results}/cells holds no metrics", remedy=f"make repro PROFILE={paths.profile}"
        )
    cells = [Cell(**{factor: values[factor] for factor in FACTORS}) for values in found]
    chosen = [cell for cell in cells if any(fnmatchcase(cell.name, pattern) for pattern in patterns)]
    if not chosen:
        names = "\n  ".join(cell.name for cell in cells)
        raise UserError(f"no cell matches {' '.join(patterns)} among\n  {names}", remedy="quote patterns")
    return chosen


def try_publish_cell(cell: Cell, paths: Paths, *, root: Path) -> None:
    """Like `publish_cell`, but a server that does not answer is told and costs nobody their results."""
    try:
        publish_cell(cell, paths, root=root)
    except TrackingUnavailableError as error:
        warnings.warn(
            f"{error}\n  {cell.name}: complete its run later with: lung-attention track", stacklevel=2
        )


def publish_known_results(identity: RunIdentity) -> None:
    """Completes the run of a training that gave again what the results already show.

    DVC evaluates no predictions anew that it knows, as in a fresh clone on the machine that made the results,
    so nobody else would complete the run.

    Args:
        identity: A training that has ended; its files lie below the current folder.
    """
    cell, paths = identity.cell, Paths(identity.experiment.rpartition("/")[2])
    known = (paths.metrics(cell), paths.predictions(cell), paths.raw_predictions(cell), paths.history(cell))
    if not all(path.exists() for path in known) or CellResults(cell, paths).identity != identity:
        return
    order = ["seed", "image"]
    predicted = read_table(known[2]).sort_values(order, ignore_index=True)
    shown = read_table(known[1]).sort_values(order, ignore_index=True)
    if predicted.equals(shown[predicted.columns]):
        publish_cell(cell, paths, root=Path.cwd())


def promote(cells: Sequence[Cell], paths: Paths, *, root: Path) -> dict[str, str]:
    """Points the alias `champion` of each cell's model to the one that made the committed results.

    This is for the gate, once it has passed; no training moves an alias. All versions are looked up before
    the first alias is moved.

    Args:
        cells: The cells that passed; they have results.
        paths: The profile's files, relative to the current folder.
        root: The project's root, where the default tracking database lies.

    Returns:
        The version that is the champion now, by registered name. Empty for a profile of stand-ins, whose
        models are not registered.

    Raises:
        UserError: A model is not registered on this server.
        TrackingUnavailableError: The server does not answer.
    """
    connect(root)
    versions = {}
    for results in (CellResults(cell, paths) for cell in cells):
        name = results.registered_name
        if name is None:
            return {}
        check_reachable()
        found = find_cells(client(), results.identity)
        current = next(filter(is_complete, found), None)
        version = find_version(client(), current, name) if current else None
        if version is None:
            raise UserError(
                f"{name}: the model of the committed results is not registered on this server",
                remedy=f"lung-attention track --profile {paths.profile}, where its files are at hand "
                f"({paths.model(results.cell)})",
            )
        versions[name] = str(version.version)
    move_champions(client(), versions)
    return versions
