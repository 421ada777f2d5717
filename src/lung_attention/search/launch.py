"""`make search`: the pipeline of the search in DVC's isolated copy, its studies outside of the copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lung_attention.cells import Cell
from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.files import write_text
from lung_attention.paths import PARAMS, Paths
from lung_attention.search.address import STORAGE_VARIABLE, storage_address
from lung_attention.workflow.killed import refuse_taken_over
from lung_attention.workflow.temporary import (
    absolute,
    kept_file,
    nothing_further,
    profile_of,
    run_in_temporary,
)

_PIPELINE = "search/dvc.yaml"


def run_search(profile: str, cell: Cell, overrides: Sequence[str], *, storage: str | None) -> Path:
    """Searches a cell, or goes on with its search, and brings what was found into the work tree.

    Everything runs in an isolated copy, as in `lung-attention repro`, but the studies, which are kept outside
    of it, so that a killed search goes on where it was.

    Args:
        profile: A profile of params.yaml.
        cell: On the grouped split.
        overrides: `key=value` as `lung-attention repro --set` takes them, e.g. `search.trials=50`.
        storage: The address of a database; None for that of the environment, or else an SQLite file in the
            work tree.

    Returns:
        The file with the settings found, in the work tree.

    Raises:
        UserError: Profile, dataset or backbone is unknown, `storage` is no address, a source is missing, or a
            stage failed.
    """
    refuse_taken_over(Path())
    config = load_config(PARAMS)
    known: dict[str, Sequence[str]] = {
        "dataset": profile_of(config, profile).datasets,
        "backbone": config.backbones,
        "head": config.heads,
    }
    for factor, values in known.items():
        if getattr(cell, factor) not in values:
            raise UserError(
                f"{factor}: expected one of {list(values)}, received {getattr(cell, factor)!r}",
                remedy=f"make search {factor.upper()}={values[0]} …",
            )
    paths = Paths(profile)
    narrowed = [f"datasets=[{cell.dataset}]", f"backbones=[{cell.backbone}]"]
    narrowed += [
        f"searching.{factor}s=[{getattr(cell, factor)}]" for factor in ("dataset", "backbone", "head")
    ]
    # Cells of other recipes may wait for this very search, and it needs the one split.
    narrowed += [f"splits=[{cell.split}]", *nothing_further()]
    # It begins with the recommended settings, which the stage `settings` writes for that recipe's cells.
    narrowed += [
        f"further.recommended.{factor}s=[{getattr(cell, factor)}]"
        for factor in ("dataset", "backbone", "head", "split")
    ]
    reference = run_in_temporary(
        profile,
        [*narrowed, *overrides],
        targets=[f"{_PIPELINE}:search@{cell.searched}"],
        environment={STORAGE_VARIABLE: absolute(storage_address(storage, paths.studies(cell)))},
    )
    path = paths.search(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, kept_file(reference, paths.found(cell)))
    return path
