"""Whether processes run, how a stage ends with the run that asked for it, and a program with this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

RUN_VARIABLE = "LUNG_ATTENTION_RUN"
"""The process that asked for a stage; the stage ends with it."""

_LOOK_SECONDS = 2
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """This process was asked to end.

    Args:
        number: The signal.
        said: What a user is told.
    """

    def __init__(self, number: int, said: str) -> None:
        super().__init__(said)
        self.number = number


def is_running(pid: int) -> bool:
    """Whether a process runs; where the system cannot tell without harm, that counts as yes."""
    if sys.platform == "win32":
        return True
    try:
        os.kill(pid, 0)  # sends nothing
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def end_with_run() -> None:
    """Ends this process, as SIGTERM does, once the run that asked for it is gone."""
    said = os.environ.get(RUN_VARIABLE, "")
    if not said.isdecimal():
        return

    def look() -> None:
        while is_running(int(said)):
            time.sleep(_LOOK_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=look, daemon=True).start()


def run_to_the_end(
    command: Sequence[str],
    ask: Callable[[subprocess.Popen[bytes]], None],
    *,
    said: str = "stopped",
    environment: Mapping[str, str] | None = None,
    patience_seconds: float = 10,
) -> int:
    """Runs a program until it, or this process, is asked to end, and leaves none of its processes behind.

    Args:
        command: The program and its arguments.
        ask: Asks it to end, as it likes to be asked; its process leads a group.
        said: What `Stopped` says.
        environment: Its variables; those of this process where None.
        patience_seconds: How long it may take to end before it is killed.

    Returns:
        Its exit code, if it ended by itself.

    Raises:
        Stopped: This process got Ctrl-C, SIGTERM or the end of its terminal, and the program has ended.
    """
    asked: list[int] = []
    before = {number: signal.signal(number, lambda sent, _: asked.append(sent)) for number in _ENDS}
    try:
        # A group of its own: nobody else asks it, and what it leaves behind is found.
        process = subprocess.Popen(command, env=environment, start_new_session=True)
        while not asked and process.poll() is None:
            time.sleep(0.05)
        if asked:
            with suppress(ProcessLookupError):
                ask(process)
            _wait_for_group(process, patience_seconds)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise Stopped(asked[0], said)
    return process.returncode


def _wait_for_group(process: subprocess.Popen[bytes], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    with suppress(ProcessLookupError):  # none is left
        while time.monotonic() < deadline:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.1)
