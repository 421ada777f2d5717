"""Feeds the parsers: a process each, with a bound on memory and time, told of anything that is begun."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from faults.hostile_keras import PWNED
from faults.parsers import PARSERS, Parser, parser

MEMORY_MB = 2_000
"""That a parser may take beyond what it takes with good inputs; the largest image allowed has 50 MB."""

_BEGUN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect")


@dataclass
class Fed:
    """What one parser made of its inputs.

    Attributes:
        inputs: How many there were.
        accepted: How many were taken.
        refused: How many were refused as promised.
        slowest_s: Seconds of the slowest.
        memory_mb: Of the process, beyond what it took before the first input.
        fell: Anything else: how often each, and the number of the first input.
    """

    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    slowest_s: float = 0.0
    memory_mb: float = 0.0
    fell: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    def note(self, what: str, number: int) -> None:
        """Notes a fall."""
        self.fell[what] += 1
        self.first.setdefault(what, number)


@dataclass(frozen=True)
class Outcome:
    """What all parsers made of their inputs, by name."""

    by_parser: dict[str, Fed]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        lines = {
            name: [
                f"{what} ({count} times, first input {fed.first[what]})" for what, count in fed.fell.items()
            ]
            for name, fed in self.by_parser.items()
        }
        return {
            "inputs": sum(fed.inputs for fed in self.by_parser.values()),
            "memory_mb": max((fed.memory_mb for fed in self.by_parser.values()), default=0.0),
            "by_parser": {
                name: {
                    "inputs": fed.inputs, "accepted": fed.accepted, "refused": fed.refused,
                    "slowest_s": round(fed.slowest_s, 3), "fell": lines[name],
                }
                for name, fed in self.by_parser.items()
            },
            "fell": [f"{name}: {line}" for name in lines for line in lines[name]],
        }  # fmt: skip


def feed_all(
    inputs: int,
    *,
    seed: int,
    names: Sequence[str] = tuple(PARSERS),
    tell: Callable[[Outcome], object] = lambda _outcome: None,
) -> Outcome:
    """Feeds parsers, two at a time.

    Args:
        inputs: How many inputs all parsers together would get.
        seed: Of the mutations.
        names: Which of them do.
        tell: Told the outcome so far after each parser.

    Returns:
        What came of it.
    """
    found: dict[str, Fed] = {}

    def of_one(name: str) -> None:
        fed = found[name] = _in_process(name, max(1, round(PARSERS[name][2] * inputs)), seed)
        fell = sum(fed.fell.values())
        print(f"{name}: {fed.inputs:,} inputs, {fed.accepted:,} accepted, {fell:,} fell", flush=True)
        tell(Outcome({name: found[name] for name in names if name in found}))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(of_one, names))
    return Outcome({name: found[name] for name in names})


def _in_process(name: str, inputs: int, seed: int) -> Fed:
    """Feeds a parser in a process of its own, which may die; the input that it died of is told."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    at = context.Value("q", -1)
    process = context.Process(target=_work, args=(name, inputs, seed, theirs, at))
    process.start()
    theirs.close()
    fed = Fed()
    with contextlib.suppress(EOFError):
        fed = ours.recv()
    process.join()
    if process.exitcode:
        fed.note(f"the process ended with {process.exitcode}", at.value)
    return fed


def _work(name: str, inputs: int, seed: int, told: Connection, at: Any) -> None:
    os.environ |= {"TQDM_DISABLE": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_DISABLE_TELEMETRY": "true"}
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="faults-") as temporary:
        folder = Path(temporary)
        (folder / "cwd").mkdir()
        (folder / "files").mkdir()
        here = Path.cwd()
        os.chdir(folder / "cwd")
        fed = feed(
            parser(name, folder / "files"), inputs, f"{seed}-{name}", tell=lambda number: _set(at, number)
        )
        if any(folder.rglob(f"*{PWNED}*")):
            fed.note("a hostile input made its file", -1)
        os.chdir(here)
    told.send(fed)


def _set(at: Any, number: int) -> None:
    at.value = number


def feed(given: Parser, inputs: int, seed: str, *, tell: Callable[[int], object]) -> Fed:
    """Feeds a parser in this process.

    Args:
        given: The parser.
        inputs: How many inputs; hostile ones come first, once each.
        seed: Of the mutations; the same seed and number give the same input.
        tell: Told the number of each input beforehand.

    Returns:
        What came of it.
    """
    fed, begun = Fed(), []
    with _silent():
        for content in given.seeds:
            given.feed(content)  # good inputs are accepted, or nothing is tested
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _bound_memory()
        sys.addaudithook(lambda event, _arguments: begun.append(event) if event in _BEGUN else None)
        for number in range(inputs):
            tell(number)
            content = _input(given, number, seed)
            begun.clear()
            began = time.perf_counter()
            try:
                with _limited(given.seconds):
                    given.feed(content)
                fed.accepted += 1
            except given.refusals:
                fed.refused += 1
            except BaseException as error:  # what falls is what this looks for
                fed.note(_words(error), number)
            fed.inputs += 1
            fed.slowest_s = max(fed.slowest_s, time.perf_counter() - began)
            for event in set(begun):
                fed.note(f"an input led to {event}", number)
        fed.memory_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1e3
    return fed


def _input(given: Parser, number: int, seed: str) -> bytes:
    if number < len(given.hostile):
        return given.hostile[number]
    chance = random.Random(f"{seed}-{number}")
    good = given.seeds or given.hostile
    return given.mutate(chance.choice(good), good, chance)


def _words(error: BaseException) -> str:
    """The class of an exception and where it came from, so that equal ones are counted together."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "lung_attention" in frame.filename]
    place = ours[-1] if ours else frames[-1]
    file = place.filename.rsplit("lung_attention/", 1)[-1]
    return f"{type(error).__name__} at {file}, {place.name}: {str(error)[:80]!r}"


def _bound_memory() -> None:
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY_MB * 10**6, resource.RLIM_INFINITY))


class _TooSlowError(BaseException):
    """An input took longer than it may; no handler of exceptions keeps it back."""


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(_signal: int, _frame: object) -> None:
        raise _TooSlowError(f"more than {seconds:g} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps what libraries print of bad inputs out of the terminal."""
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield
