"""A command that is watched from outside: its seconds, its processors, its memory, and when it said what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from lung_attention.errors import UserError

_EVERY_S = 0.05
# Part of a command's duration in which its processors are counted: behind imports, before what it does last.
_MIDDLE = (0.5, 0.9)


@dataclass(frozen=True)
class Sample:
    """One look at a command and its children.

    Attributes:
        at: Seconds since its start.
        cpu_s: Processor seconds so far, of processes that are alive.
        rss_mb: Resident memory, MB (10^6 bytes); pages that several processes share count for each.
        own_mb: The same without mapped files, which the system takes back when it needs to.
    """

    at: float
    cpu_s: float
    rss_mb: float
    own_mb: float


@dataclass(frozen=True)
class Watched:
    """What was seen of a command.

    Attributes:
        wall_s: Its seconds.
        cpu_s: Its processor seconds, of children as well.
        samples: Looks at it.
        lines: When it wrote which line on its output.
    """

    wall_s: float
    cpu_s: float
    samples: Sequence[Sample]
    lines: Sequence[tuple[float, str]]

    @property
    def rss_mb(self) -> float:
        """The most resident memory."""
        return max((sample.rss_mb for sample in self.samples), default=0.0)

    @property
    def own_mb(self) -> float:
        """The most memory without mapped files."""
        return max((sample.own_mb for sample in self.samples), default=0.0)

    @property
    def busy_cores(self) -> float:
        """Processor seconds a second in the middle of its work; of the whole where it was too short."""
        inside = [one for one in self.samples if _MIDDLE[0] <= one.at / self.wall_s <= _MIDDLE[1]]
        if len(inside) < 2:
            return self.cpu_s / self.wall_s
        return (inside[-1].cpu_s - inside[0].cpu_s) / (inside[-1].at - inside[0].at)

    def at(self, text: str) -> float:
        """When the first line with a text was written.

        Raises:
            UserError: None was.
        """
        for at, line in self.lines:
            if text in line:
                return at
        raise UserError(f"no line with {text!r} was written", remedy="run the command by hand")

    def said(self) -> dict[str, Any]:
        """The JSON object that stands in the last line."""
        found: dict[str, Any] = json.loads(self.lines[-1][1])
        return found

    def as_json(self) -> dict[str, float]:
        """The figures that are kept."""
        return {
            "wall_s": round(self.wall_s, 3),
            "cpu_s": round(self.cpu_s, 3),
            "rss_mb": round(self.rss_mb, 1),
            "own_mb": round(self.own_mb, 1),
            "busy_cores": round(self.busy_cores, 2),
        }


def watch(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    cores: int | None = None,
    keep_lines: bool = True,
) -> Watched:
    """Runs a command and looks at it and its children twenty times a second.

    Args:
        command: The command and its arguments.
        cwd: Where it runs.
        environment: Variables besides those of this process.
        cores: On how many of the processors it may run; None for all.
        keep_lines: Whether to read what it writes; a hundred thousand lines are better left alone.

    Returns:
        What was seen.

    Raises:
        UserError: It failed.
    """
    chosen = sorted(os.sched_getaffinity(0))[:cores] if cores and hasattr(os, "sched_getaffinity") else []
    prefix = ["taskset", "-c", ",".join(map(str, chosen))] if chosen else []
    started, before = time.perf_counter(), os.times()
    child = subprocess.Popen(
        [*prefix, *map(str, command)],
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=subprocess.PIPE if keep_lines else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[tuple[float, str]] = []
    errors: list[str] = []

    def read() -> None:
        for line in child.stdout or ():
            lines.append((time.perf_counter() - started, line.rstrip("\n")))

    def read_errors() -> None:
        for line in child.stderr or ():
            errors.append(line)
            del errors[:-20]

    readers = [threading.Thread(target=read), threading.Thread(target=read_errors)]
    for reader in readers:
        reader.start()
    samples: list[Sample] = []
    process = psutil.Process(child.pid)
    while child.poll() is None:
        samples += _look(process, time.perf_counter() - started)
        time.sleep(_EVERY_S)
    wall = time.perf_counter() - started
    for reader in readers:
        reader.join()
    after = os.times()
    if child.returncode:
        tail = "".join(errors[-6:]).strip()
        raise UserError(
            f"{' '.join(map(str, command))} ended with {child.returncode}: {tail}", remedy="run it by hand"
        )
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Watched(wall, cpu, samples, lines)


def python(*arguments: str | Path) -> list[str | Path]:
    """A command of this interpreter."""
    return [sys.executable, *arguments]


def child(module: str, *arguments: str | Path) -> tuple[list[str | Path], dict[str, str]]:
    """A command that runs a module of this package, and the environment that it needs, wherever it runs."""
    package = __package__ or ""
    root = Path(__file__).parents[package.count(".") + 1]
    paths = [str(root), os.environ.get("PYTHONPATH", "")]
    command = python("-m", f"{package}.{module}", *arguments)
    return command, {"PYTHONPATH": os.pathsep.join(filter(None, paths))}


def _look(process: psutil.Process, at: float) -> list[Sample]:
    cpu = rss = own = 0.0
    with suppress(psutil.Error):
        for one in [process, *process.children(recursive=True)]:
            with suppress(psutil.Error):
                times, memory = one.cpu_times(), one.memory_info()
                cpu += times.user + times.system
                rss += memory.rss
                own += memory.rss - getattr(memory, "shared", 0)
    return [Sample(at, cpu, rss / 1e6, own / 1e6)] if rss else []
