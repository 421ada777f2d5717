"""What differs between two sides before any result does: parameters, and code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lung_attention.config import flat, read_values
from lung_attention.errors import UserError
from lung_attention.files import sha256
from lung_attention.paths import DATASETS, PARAMS, Paths
from lung_attention.workflow.git import try_git

_CODE = ("src", "stages")


@dataclass(frozen=True)
class Changes:
    """What is other in the candidate.

    Attributes:
        params: By key, such as `train.recipe.epochs`, the reference's value and the candidate's; None for
            one that is not there.
        files: Of code, and of datasets.
    """

    params: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def changes(paths: Paths, reference: Path, commit: str | None) -> Changes:
    """Compares the work tree of the current folder with a reference.

    Args:
        paths: The profile's files; parameters that came with its results go before those of the project.
        reference: The folder of the reference's files.
        commit: Its revision; None where it is another checkout.

    Returns:
        What differs. Parameters that cannot be read on one side count as none.
    """
    before, after = (_params(root, paths) for root in (reference, Path()))
    keys = sorted({*before, *after}) if before and after else ()
    differing = {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}
    return Changes(differing, tuple(_files(reference, commit)))


def _params(root: Path, paths: Paths) -> dict[str, Any]:
    own = root / paths.results / PARAMS
    try:
        values = read_values(own if own.exists() else root / PARAMS)
    except UserError:
        return {}
    if not isinstance(values, dict):
        return {}
    shared = {key: value for key, value in values.items() if key != "profiles"}
    profiles = values.get("profiles")
    of_profile = profiles.get(paths.profile) if isinstance(profiles, dict) else None
    return dict(flat(shared)) | dict(flat(of_profile or {}, f"profiles.{paths.profile}."))


def _files(reference: Path, commit: str | None) -> Iterator[str]:
    """Files of code and of datasets that differ."""
    if commit is not None:
        yield from (try_git("diff", "--name-only", commit, "--", *_CODE, str(DATASETS)) or "").splitlines()
        return
    if not (reference / _CODE[0]).is_dir():
        return
    both = [
        {
            path.relative_to(root).as_posix()
            for folder in (*_CODE, str(DATASETS))
            for path in (root / folder).rglob("*")
            if path.is_file() and path.suffix in (".py", ".yaml", ".json", ".j2", ".css", ".csv")
        }
        for root in (reference, Path())
    ]
    for name in sorted(both[0] | both[1]):
        if name not in both[0] & both[1] or sha256(reference / name) != sha256(Path(name)):
            yield name
