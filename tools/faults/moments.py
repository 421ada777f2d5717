"""The moments at which commands are killed, and what dvc.lock held until then."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import yaml

from lung_attention.workflow.status import LOCK


def moment(kind: str, folder: Path, seconds: float | None, chance: random.Random) -> Callable[[float], bool]:
    """When a command of a kind is hit: at any moment of what it took before, or where it is most delicate.

    Args:
        kind: Of `faults.kills.KINDS`.
        folder: The workspace.
        seconds: What the command took when it was left to end, if that is known.
        chance: Chooses.

    Returns:
        Told how many seconds the command has run, says whether it is time.
    """
    usual = 10 if kind.startswith("a stage without") else 40
    after = chance.uniform(0, usual if seconds is None else seconds)
    if kind == "writing dvc.lock":
        return _once_written(folder / LOCK, chance.uniform(0, 0.15))
    if kind == "making mlflow.db" and chance.random() < 0.7:
        return _once_there(folder, "*mlflow.db*", chance.uniform(0, 4))
    return lambda ran: ran >= after


def _once_written(path: Path, later: float) -> Callable[[float], bool]:
    """A little after a file has begun to change."""
    before, since = _state(path), [0.0]

    def is_time(ran: float) -> bool:
        if not since[0] and _state(path) != before:
            since[0] = ran
        return bool(since[0]) and ran >= since[0] + later

    return is_time


def _once_there(folder: Path, pattern: str, later: float) -> Callable[[float], bool]:
    """A little after the first file of a pattern is there."""
    since = [0.0]

    def is_time(ran: float) -> bool:
        if not since[0] and any(folder.glob(pattern)):
            since[0] = ran
        return bool(since[0]) and ran >= since[0] + later

    return is_time


def _state(path: Path) -> tuple[int, int]:
    return (path.stat().st_mtime_ns, path.stat().st_size) if path.exists() else (0, 0)


class Watch:
    """The stages that a lock held when it was whole last."""

    def __init__(self, lock: Path) -> None:
        self._lock, self._state = lock, (0, 0)
        self.stages: set[str] = set()

    def look(self) -> None:
        """Reads the lock, if it has changed and is whole."""
        if (state := _state(self._lock)) == self._state:
            return
        self._state = state
        try:
            found = yaml.load(self._lock.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
            whole = {
                name for name, one in found["stages"].items() if all("md5" in out for out in one["outs"])
            }
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
            return
        self.stages |= whole

    def and_then(self, is_time: Callable[[float], bool]) -> Callable[[float], bool]:
        """Looks whenever it is asked whether it is time."""

        def ask(ran: float) -> bool:
            self.look()
            return is_time(ran)

        return ask
