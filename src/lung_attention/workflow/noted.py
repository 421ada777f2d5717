"""Whether a process that was noted in a file still works.

Beside the other questions about processes, but in a room that no logged model takes along: psutil answers it.
"""

from __future__ import annotations

import psutil  # type: ignore[import-untyped]


def still_works(pid: int, noted: float) -> bool:
    """Whether the process that had a number at some time still works.

    `alive.is_running` asks for the number alone, which may be a dead process's that nobody waits for, as in a
    container without an init process, or another one's that came by it later.

    Args:
        pid: The number.
        noted: When it was that process's, seconds of `time.time`.
    """
    try:
        process = psutil.Process(pid)
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= noted)
    except psutil.NoSuchProcess:
        return False
