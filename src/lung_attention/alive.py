"""Whether processes run, and how a stage ends with the run that asked for it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

RUN_VARIABLE = "LUNG_ATTENTION_RUN"
"""The process that asked for a stage; the stage ends with it."""

_LOOK_SECONDS = 2


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
