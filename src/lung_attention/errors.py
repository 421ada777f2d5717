"""What a user did wrong, and the command that mends it."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable

from lung_attention.alive import Stopped, end_with_run

# Of the machine, not of a file: whatever comes next will meet it, too.
_OF_MACHINE = {
    errno.ENOSPC: "free some space (dvc gc -w removes what DVC caches of old results)",
    errno.EDQUOT: "free some space of this user's",
    errno.EROFS: "work on a file system that can be written",
    errno.EACCES: "let this user read and write it (ls -l says whose it is)",
    errno.EPERM: "let this user read and write it (ls -l says whose it is)",
}
# Of a file. One that git keeps may have been deleted, one that it does not keep is some stage's.
_MISSING = "git checkout -- FILE, if git keeps it, or make repro, which makes it"


class UserError(Exception):
    """A mistake in data, parameters or environment that its user can mend.

    Args:
        problem: What is wrong: the file, the value received, what was expected.
        remedy: What to do about it, preferably a command to type.
    """

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  -> {self.remedy}"


def run_guarded(main: Callable[[], int | None]) -> None:
    """Runs a program and turns what a user can mend into a message and exit 2.

    That is a `UserError`, a file that is missing, or a disk that is full or closed.

    Args:
        main: The program. What it returns is the exit code, `None` meaning 0.
    """
    end_with_run()
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except FileNotFoundError as error:
        if not error.filename:
            raise
        print(f"error: {error.strerror} ({error.filename})\n  -> {_MISSING}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python writes what is left at its end
        sys.exit(128 + signal.SIGPIPE)  # as it ends other programs
    except OSError as error:
        if error.errno not in _OF_MACHINE:
            raise
        place = f" ({error.filename})" if error.filename else ""
        print(f"error: {error.strerror}{place}", file=sys.stderr)
        print(f"  -> {_OF_MACHINE[error.errno]}; the same command then goes on", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(128 + stopped.number)
    sys.exit(code or 0)
