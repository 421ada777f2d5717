"""A work tree out of which a run was killed while DVC had taken it over.

DVC writes an experiment down in the work tree itself: for some seconds HEAD is detached, changes of the user
are in a stash of git's, and params.yaml is the experiment's. It puts all back, unless SIGKILL or a power cut
comes first.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lung_attention.errors import UserError
from lung_attention.files import write_text
from lung_attention.workflow.git import try_git
from lung_attention.workflow.noted import still_works

_NOTE = Path(".dvc/tmp/lung-attention/branch")


@contextmanager
def noted_branch(root: Path) -> Iterator[None]:
    """Notes the branch for as long as a run lasts.

    Args:
        root: The project's root, the current folder.
    """
    note = root / _NOTE
    branch = (try_git("symbolic-ref", "--short", "--quiet", "HEAD") or "").strip()
    if branch:
        changed = try_git("status", "--porcelain", "--untracked-files=no")
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, f"{os.getpid()} {branch} {_newest_stash()} {'changed' if changed else 'clean'}\n")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def refuse_taken_over(root: Path) -> None:
    """Asks for the work tree back, before anything is read from it.

    Args:
        root: The project's root, the current folder.

    Raises:
        UserError: HEAD is detached, and was not when a run began that was killed.
    """
    note = root / _NOTE
    said = note.read_text(encoding="utf-8").split() if note.exists() else []
    if len(said) != 4 or still_works(int(said[0]), note.stat().st_mtime):
        return
    if try_git("symbolic-ref", "--quiet", "HEAD"):
        return
    _, branch, stash, before = said
    stashed = _newest_stash() != stash
    # What the user had changed and is in no stash is still there, and params.yaml still the user's.
    force = "--force " if stashed or before == "clean" else ""
    raise UserError(
        "a run was killed while DVC had taken over the work tree: HEAD is detached, params.yaml may be the "
        f"run's{', and what you had changed is in a stash of git' if stashed else ''}",
        remedy=f"git checkout {force}{branch}{' && git stash pop' if stashed else ''}",
    )


def _newest_stash() -> str:
    return (try_git("rev-parse", "--quiet", "--verify", "refs/stash") or "none").strip()
