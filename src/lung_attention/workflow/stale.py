"""Whether results are of the present code and parameters: their dvc.lock against the work tree."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lung_attention.cells import Cell
from lung_attention.config import DESIGN, load_config, read_values
from lung_attention.errors import UserError
from lung_attention.files import read_json
from lung_attention.paths import PARAMS, Paths
from lung_attention.workflow.code import PACKAGE, STAGES
from lung_attention.workflow.status import LOCK, contradicting, is_of, other_code, stages_of

# Of archives and weights, found when a run begins; what params.yaml does not name nobody asks for.
_CHECKSUMS = "checksums"


@dataclass(frozen=True)
class Staleness:
    """The stages that would give something else now, by why; none where results are up to date.

    What follows these stages is not named.

    Attributes:
        code: Those whose code is another one, and trainings that the lock does not know, which were made by
            code of an earlier layout.
        params: Those whose parameters are others in `params.yaml` or in a dataset's file; searches, too.
        files: Those that read or wrote other files than there are, by the lock's own hashes.
        remedy: The command that makes them anew.
    """

    code: tuple[str, ...]
    params: tuple[str, ...]
    files: tuple[str, ...]
    remedy: str

    @property
    def stages(self) -> list[str]:
        """All of them once."""
        return list(dict.fromkeys([*self.code, *self.params, *self.files]))

    @property
    def by_reason(self) -> dict[str, list[str]]:
        """The stages by why they are stale, without reasons that are none's."""
        found = {"other code": self.code, "other parameters": self.params, "other files": self.files}
        return {reason: list(stages) for reason, stages in found.items() if stages}


def staleness(
    paths: Paths, cells: Collection[Cell], root: Path, *, in_use: bool, of_predictions: bool = False
) -> Staleness | None:
    """Asks which stages of a profile's results are stale.

    Args:
        paths: The profile's files.
        cells: Those with results.
        root: The work tree, the current folder.
        in_use: Whether it is the profile in use, whose lock is that of the work tree. Any other's came with
            the results, and the design may have been narrowed for them, so that is not compared.
        of_predictions: Whether only the stages count that lead to the predictions of these cells.

    Returns:
        The stages; None where it cannot be asked, for want of the lock or of the code.

    Raises:
        UserError: A lock or a file of parameters cannot be read.
    """
    if not all((root / folder).is_dir() for folder in (PACKAGE, STAGES)):
        return None
    stages = _stages_of_results(paths, root, in_use=in_use)
    if stages is None:
        return None
    if of_predictions:
        stages = leading_to(stages, [paths.predictions(cell) for cell in cells])
    unknown = [
        cell.stage for cell in cells if (root / paths.metrics(cell)).exists() and cell.stage not in stages
    ]
    # The notice on stale results is written into these two.
    noted = {paths.report_markdown.as_posix(), paths.report_html.as_posix()}
    searches = sorted(set(_other_searches(paths, cells, root)))
    profile = "" if in_use else f" PROFILE={paths.profile}"
    return Staleness(
        (*other_code(stages, root), *unknown),
        (*_other_params(stages, root, design=in_use), *searches),
        tuple(contradicting(stages, root, but=noted)),
        (f"make search DATASET=… BACKBONE=… HEAD=…{profile}, and then " if searches else "")
        + f"make repro{profile}",
    )


def _stages_of_results(paths: Paths, root: Path, *, in_use: bool) -> dict[str, Any] | None:
    if in_use and (root / LOCK).exists():
        found = stages_of(root / LOCK)
        if stages := {name: entry for name, entry in found.items() if is_of(entry, paths.profile)}:
            return stages
    came_with = root / paths.results / LOCK
    return stages_of(came_with) if came_with.exists() else None


def leading_to(stages: Mapping[str, Any], files: Iterable[Path]) -> dict[str, Any]:
    """The stages of a lock from which files come, at first or second hand or further."""
    makers = [(f"{out['path']}/", name) for name, stage in stages.items() for out in stage.get("outs") or ()]
    asked, seen, found = [f"{file.as_posix()}/" for file in files], set[str](), set[str]()
    while asked:
        if (file := asked.pop()) in seen:
            continue
        seen.add(file)
        # Stages read and write folders as well as single files in them.
        for name in {name for out, name in makers if out.startswith(file) or file.startswith(out)} - found:
            found.add(name)
            asked += [f"{dep['path']}/" for dep in stages[name].get("deps") or ()]
    return {name: stage for name, stage in stages.items() if name in found}


def _other_params(stages: Mapping[str, Any], root: Path, *, design: bool) -> Iterator[str]:
    """The stages with a parameter that is another one now; where asked for, those of the design count."""

    @cache
    def present(file: str) -> Any:
        try:
            return read_values(root / file)
        except UserError:
            if file == PARAMS.as_posix():
                raise
            return {}  # a dataset that no file describes any more

    for name, stage in stages.items():
        for file, recorded in (stage.get("params") or {}).items():
            asked = {
                key: value
                for key, value in recorded.items()
                if design or file != PARAMS.as_posix() or key not in ("profile", *DESIGN)
            }
            if not all(_is_same(value, _at(present(file), key)) for key, value in asked.items()):
                yield name
                break


def _other_searches(paths: Paths, cells: Collection[Cell], root: Path) -> Iterator[str]:
    """The searches of cells that had another objective, other folds or another space than now."""
    found = {cell: root / paths.search(cell) for cell in cells if cell.recipe == "searched"}
    found = {cell: path for cell, path in found.items() if path.exists()}
    if not found:
        return
    now = load_config(root / PARAMS).profiles[paths.profile].search.of_values()
    for cell, path in found.items():
        recorded = read_json(path).get("search")
        if not isinstance(recorded, dict) or {key: recorded.get(key) for key in now} != now:
            yield f"search@{cell.searched}"


def _at(values: Any, key: str) -> Any:
    """What stands at a key such as `train.recipe`; None where nothing does."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values


def _is_same(recorded: Any, now: Any) -> bool:
    if not isinstance(recorded, dict) or not isinstance(now, dict):
        return bool(recorded == now or (isinstance(now, float) and _number(recorded) == now))
    keys = {*recorded, *now}
    if _CHECKSUMS not in now:
        keys -= {_CHECKSUMS}
    return all(key in recorded and key in now and _is_same(recorded[key], now[key]) for key in keys)


def _number(value: Any) -> float | None:
    """The lock is read by YAML 1.1, to which 1e-05 is a word."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
