"""What a user did wrong, and the command that mends it."""

from __future__ import annotations

import sys
from collections.abc import Callable


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
    """Runs a program and turns a `UserError` into a message and exit code 2.

    Args:
        main: The program. What it returns is the exit code, `None` meaning 0.
    """
    try:
        code = main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(code or 0)
