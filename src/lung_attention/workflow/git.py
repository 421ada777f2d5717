"""Git commands: what they print, or a mistake that names them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lung_attention.errors import UserError


def git(*arguments: str) -> str:
    """Runs a git command in the current folder.

    Args:
        arguments: The command and its arguments.

    Returns:
        What it printed. Line ends are kept, so that the text of a file is that file's.

    Raises:
        UserError: The command failed, or git is not installed.
    """
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except OSError as error:
        raise UserError("git cannot be run", remedy="install git") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise UserError(f"git {' '.join(arguments)}: {said}", remedy="run inside the repository")
    # What is no text comes back as it was when it is encoded in the same way.
    return done.stdout.decode(errors="surrogateescape")


def require_identity() -> None:
    """Refuses a checkout in which DVC could not keep what was changed: it makes a commit of its own of it.

    Raises:
        UserError: Tracked files were changed, and git does not know who its user is.
    """
    if not try_git("status", "--porcelain", "--untracked-files=no"):
        return
    for key in ("user.name", "user.email"):
        if not (try_git("config", "--get", key) or "").strip():
            raise UserError(
                f"tracked files were changed, and git has no {key}, which DVC needs to run them in a "
                "temporary workspace",
                remedy="git config user.name YOU && git config user.email YOU@EXAMPLE, or commit the changes",
            )


def try_git(*arguments: str) -> str | None:
    """Like `git`, but None where the command fails."""
    try:
        return git(*arguments)
    except UserError:
        return None


def commit_of(folder: Path) -> str:
    """The short name of the commit of a checkout, with a + where code differs from it; empty outside one."""
    name = try_git("-C", str(folder), "rev-parse", "--short", "HEAD")
    places = [f":/{name}" for name in ("src", "stages", "tools")]
    changed = try_git("-C", str(folder), "status", "--porcelain", "--untracked-files=no", "--", *places)
    return (name or "").strip() + ("+" if changed else "")
