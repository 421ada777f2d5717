"""A command that is killed at a chosen moment, and what is left of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from faults.workspace import environment

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)

_PATIENCE_S = (
    90  # on a busy machine; a process that goes on this long after its parent's end does so for good
)
_LOOK_S = 0.02


@dataclass(frozen=True)
class Killed:
    """What came of an attempt to kill a command.

    Attributes:
        hit: Whether it still ran when its moment came.
        survivors: Processes in the workspace that went on without it; they were killed.
        said: All it printed.
        code: Its exit code; negative for the signal that ended it.
    """

    hit: bool
    survivors: list[str]
    said: str
    code: int


def kill_at(
    folder: Path,
    command: Sequence[str],
    *,
    who: str,
    sent: signal.Signals,
    is_time: Callable[[float], bool],
    chance: random.Random,
    patience_s: float = _PATIENCE_S,
) -> Killed:
    """Starts a command and sends it a signal.

    Args:
        folder: The workspace.
        command: The command.
        who: Who gets the signal: `group`, all its processes, as Ctrl-C does; `parent`, the command alone;
            `child`, one of its processes that runs a stage or, where none does, any of them.
        sent: The signal.
        is_time: Told every few milliseconds how many seconds the command has run, says when to send it.
        chance: Chooses the child.
        patience_s: For what it still has running to end.

    Returns:
        What came of it, once no process of the workspace is left.
    """
    log = folder.parent / f"{folder.name}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=stream, stderr=subprocess.STDOUT,
            start_new_session=True,
            # What a shell starts in the background ignores SIGINT, and hands that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        began = time.monotonic()
        while process.poll() is None and not is_time(time.monotonic() - began):
            time.sleep(_LOOK_S)
        hit = process.poll() is None and _send(process, who, sent, chance)
        try:
            # What loses a child alone fails by itself, or goes on: then it is waited for.
            process.wait(timeout=600 if who == "child" else patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            left = [f"the command itself, {sent.name} to {who}", *_end_all(folder)]
            return Killed(hit, left, _text(log), process.returncode)
    deadline = time.monotonic() + patience_s
    while _inside(folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    return Killed(hit, _end_all(folder), _text(log), process.returncode)


def _text(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")


def _send(process: subprocess.Popen[bytes], who: str, sent: signal.Signals, chance: random.Random) -> bool:
    try:
        if who == "group":
            os.killpg(process.pid, sent)
        elif who == "parent":
            process.send_signal(sent)
        else:
            children = psutil.Process(process.pid).children(recursive=True)
            stages = [one for one in children if any("stages/" in word for word in one.cmdline())]
            if not children:
                return False
            chance.choice(stages or children).send_signal(sent)
    except (ProcessLookupError, psutil.Error):
        return False
    return True


def _inside(folder: Path) -> list[psutil.Process]:
    """Processes that work in a folder or below it."""
    here, found = folder.resolve(), []
    for process in psutil.process_iter(["cwd", "status"]):
        place = process.info["cwd"]
        if place and process.info["status"] != psutil.STATUS_ZOMBIE:
            path = Path(place.removesuffix(" (deleted)"))
            if path == here or here in path.parents:
                found.append(process)
    return found


def _end_all(folder: Path) -> list[str]:
    """Kills what is left in a folder, and names it."""
    names = []
    for process in _inside(folder):
        try:
            names.append(" ".join(process.cmdline())[:120])
            process.kill()
        except psutil.Error:
            continue
    return names
