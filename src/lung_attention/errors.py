"""What a user did wrong, and the command that mends it."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable

from lung_attention.alive import end_with_run

# Of the machine, not of a file: whatever comes next will meet it, too.
_OF_MACHINE = {
    errno.ENOSPC: "free some space (dvc gc -w removes what DVC caches of old results)",
    errno.EDQUOT: "free some space of this user's",
    errno.EROFS: "work on a file system that can be written",
}


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
    """Runs a program and turns a `UserError`, or a full disk, into a message and exit code 2.

    Args:
        main: The program. What it returns is the exit code, `None` meaning 0.
    """
    end_with_run()
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
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
    sys.exit(code or 0)
