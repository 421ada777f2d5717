"""The reference's results as a folder, whether it is one or a git revision. The work tree is not touched."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lung_attention.errors import UserError
from lung_attention.paths import PARAMS, Paths
from lung_attention.workflow.git import git, try_git


@dataclass(frozen=True)
class Reference:
    """Where a reference's files can be read.

    Attributes:
        name: As the user gave it.
        commit: The 40 hexadecimal digits of a revision, None for a folder.
        root: A folder laid out as the project's root, with at least `results/<profile>` and, if the reference
            has them, the parameters.
    """

    name: str
    commit: str | None
    root: Path


@contextmanager
def open_reference(name: str, paths: Paths) -> Iterator[Reference]:
    """Finds a reference and provides its files for as long as the context lasts.

    Args:
        name: A git revision (branch, tag, commit), or a folder that is another checkout's root.
        paths: The profile's file names, relative to the current folder, the project's root.

    Yields:
        The reference. Files of a revision are copies in a temporary folder.

    Raises:
        UserError: There is no such revision or folder, the name means both, or the work tree itself, or
            there are no results.
    """
    if not name:
        # An unset variable in a script must not make every change pass.
        raise UserError("--reference is empty", remedy="--reference main, or the folder of another checkout")
    if Path(name).resolve() == Path.cwd():
        raise UserError(f"--reference {name}: that is the work tree itself", remedy="--reference HEAD")
    commit = _commit(name)
    if Path(name).is_dir():
        if commit is not None:
            raise UserError(
                f"--reference {name}: there is a folder and a git revision of this name",
                remedy=f"--reference ./{name} for the folder, --reference {commit[:12]} for the revision",
            )
        yield _checked(Reference(name, None, Path(name)), paths)
        return
    if commit is None:
        raise _unknown(name)
    with tempfile.TemporaryDirectory(prefix="gate-reference-") as folder:
        _copy(commit, paths, Path(folder))
        yield _checked(Reference(name, commit, Path(folder)), paths)


def _checked(reference: Reference, paths: Paths) -> Reference:
    """The reference, if it holds the predictions of any cell."""
    if any(reference.root.glob((paths.results / "cells" / "*" / "predictions.csv").as_posix())):
        return reference
    remedy = f"name a revision or folder with results, or make them there: make repro PROFILE={paths.profile}"
    raise UserError(
        f"the reference {reference.name} holds no predictions in {paths.results.as_posix()}/cells",
        remedy=remedy,
    )


def _copy(commit: str, paths: Paths, into: Path) -> None:
    """Writes what the gate reads of a commit below a folder."""
    wanted = [f"{paths.results.as_posix()}/", PARAMS.as_posix()]
    # Names are relative to the current folder, and quoted unless they end in a null byte.
    listed = git("ls-tree", "-r", "-z", "--name-only", commit, "--", *wanted)
    names = [name for name in listed.split("\0") if name]
    for name in names:
        if Path(name).name not in ("predictions.csv", paths.comparisons.name, PARAMS.name):
            continue
        try:
            shown = git("cat-file", "blob", f"{commit}:./{name}")
        except UserError as error:
            raise UserError(
                f"git cannot read {name} of {commit[:12]}: {error.problem}",
                remedy="fetch the complete commit: git fetch --refetch --no-filter",
            ) from error
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(shown.encode(errors="surrogateescape"))


def _commit(name: str) -> str | None:
    """The commit a revision names, None if it names none."""
    found = try_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    return None if found is None else found.strip()


def _unknown(name: str) -> UserError:
    problem = f"--reference {name}: no folder, and no revision that git knows here"
    try:
        shallow = git("rev-parse", "--is-shallow-repository")
    except UserError as error:
        return UserError(
            f"{problem} ({error.problem})", remedy="run inside the repository, or name an existing folder"
        )
    if shallow.strip() == "true":
        return UserError(
            f"{problem}; this clone is shallow, so older commits and other branches are absent",
            remedy="git fetch --unshallow origin (a CI job: check out the full history)",
        )
    return UserError(problem, remedy="see `git branch --all` and `git log`; perhaps: git fetch origin")
