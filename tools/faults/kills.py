"""Stages and runs that are killed at random moments, and whether the same command then mends all."""

from __future__ import annotations

import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from faults.killing import SIGNALS, kill_at
from faults.moments import Watch, moment
from faults.workspace import BACKBONE, DATASET, hashes, make_workspace, run
from lung_attention.cells import Cell
from lung_attention.paths import Paths
from lung_attention.workflow.status import LOCK

# By share of all kills. Stages with TensorFlow take most of their time to import it, so they are fewer, and a
# search takes minutes to end.
KINDS = {
    "a stage without TensorFlow": 0.42,
    "a stage with TensorFlow": 0.10,
    "several stages at a time": 0.14,
    "one stage after another": 0.08,
    "writing dvc.lock": 0.12,
    "making mlflow.db": 0.10,
    "a search": 0.04,
}
_IN_A_ROW = 8  # kills, before the same command is left to end
_HEAVY = ("backbone", "preprocess", "train", "explain")
_SEARCH = [
    "lung-attention", "search", "--dataset", DATASET, "--backbone", BACKBONE, "--head", "attention",
]  # fmt: skip
# What `lung-attention repro` does before its first stage.
_MAKE_DATABASE = """
from pathlib import Path
from lung_attention.tracking import check_reachable, connect
connect(Path.cwd())
check_reachable()
"""


@dataclass
class Outcome:
    """What the kills did.

    Attributes:
        counts: Kills by kind and signal.
        fell: What was not as it should be, each in a line.
        rounds: How often a command was left to end after kills.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    fell: list[str] = field(default_factory=list)
    rounds: int = 0

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        kinds = {
            kind: {sent.name: self.counts[kind, sent.name] for sent in SIGNALS}
            for kind in KINDS
            if any(self.counts[kind, sent.name] for sent in SIGNALS)
        }
        return {
            "kills": sum(self.counts.values()), "commands_run_again": self.rounds, "by_kind": kinds,
            "fell": self.fell,
        }  # fmt: skip


class Undisturbed:
    """The workspace after a run that nothing disturbed.

    Args:
        folder: Where it is made; a finished one that is there is used again.
        targets: Stages that are run; none means all.

    Raises:
        RuntimeError: The undisturbed run failed.
    """

    def __init__(self, folder: Path, targets: Sequence[str] = ()) -> None:
        self.folder = folder
        if not (folder / LOCK).exists():
            make_workspace(folder)
        command = ["dvc", "repro", *targets] if targets else ["lung-attention", "repro", "--jobs", "2"]
        code, said = run(folder, command, seconds=3000)
        if code:
            raise RuntimeError(f"the undisturbed run failed:\n{said[-3000:]}")
        self.lock = (folder / LOCK).read_text(encoding="utf-8")
        self.stages: dict[str, Any] = yaml.safe_load(self.lock)["stages"]
        self.files = hashes(folder)
        self.seconds: dict[str, float] = {}  # that commands took when they were left to end

    def named(self, *, heavy: bool) -> list[str]:
        """The stages with TensorFlow, or those without."""
        return [name for name in self.stages if name.startswith(_HEAVY) == heavy]

    def outs(self, stage: str) -> list[Path]:
        """What a stage writes."""
        return [self.folder / out["path"] for out in self.stages[stage]["outs"]]

    def differences(self) -> Iterator[str]:
        """What is otherwise now than after the undisturbed run."""
        found = hashes(self.folder)
        for name, value in self.files.items():
            if found.get(name) != value:
                yield f"{'missing' if name not in found else 'other content'}: {name}"
        left = sorted(found.keys() - self.files.keys())
        for pattern in (".unfinished-*", ".*.tmp", ".dvc/tmp/exps/tmp*/dvc.yaml"):
            left += [path.relative_to(self.folder).as_posix() for path in self.folder.glob(pattern)]
        for name in left:
            yield f"left behind: {name}"

    def other_stages(self) -> list[str]:
        """The stages whose entries in the lock are other ones."""
        now = yaml.safe_load((self.folder / LOCK).read_text(encoding="utf-8"))["stages"]
        return sorted(
            name for name in now.keys() | self.stages.keys() if now.get(name) != self.stages.get(name)
        )


def kill_all(
    whole: Undisturbed,
    kills: int,
    *,
    seed: int,
    deadline: float,
    kinds: Mapping[str, float] = KINDS,
    tell: Callable[[Outcome], object] = lambda _outcome: None,
) -> Outcome:
    """Kills commands, lets them end, and compares.

    Args:
        whole: The workspace.
        kills: How many.
        seed: Of moments, signals and stages.
        deadline: No new round begins after this moment of `time.monotonic`.
        kinds: Of `KINDS`, with their shares.
        tell: Told the outcome after each round.

    Returns:
        What happened.
    """
    chance, outcome = random.Random(seed), Outcome()
    for kind, number in _rounds(kills, kinds, chance):
        if time.monotonic() > deadline:
            break
        _round(whole, kind, number, chance, outcome)
        tell(outcome)
        print(f"{sum(outcome.counts.values())} kills, now of: {kind}; {len(outcome.fell)} fell", flush=True)
    return outcome


def _rounds(kills: int, kinds: Mapping[str, float], chance: random.Random) -> Iterator[tuple[str, int]]:
    """Kinds, each with as many kills as come in a row.

    The one that lacks most of its share comes next, so that a run that time cuts short has some of each.
    """
    wanted = {kind: max(1, round(share * kills)) for kind, share in kinds.items()}
    done = dict.fromkeys(wanted, 0)
    while left := [kind for kind, count in wanted.items() if done[kind] < count]:
        chance.shuffle(left)
        kind = min(left, key=lambda name: done[name] / wanted[name])
        number = min(wanted[kind] - done[kind], chance.randint(1, _IN_A_ROW))
        done[kind] += number
        yield kind, number


def _round(whole: Undisturbed, kind: str, number: int, chance: random.Random, outcome: Outcome) -> None:
    folder = whole.folder
    command, people = _prepared(whole, kind, chance)
    finished: set[str] = set()
    watch = Watch(folder / LOCK)
    hits = 0
    for _ in range(4 * number):
        if hits == number:
            break
        who, sent = chance.choice(people), chance.choice(SIGNALS)
        label = f"{kind}: {' '.join(command)[:90]}, {sent.name} to {who}"
        is_time = watch.and_then(moment(kind, folder, whole.seconds.get(" ".join(command)), chance))
        killed = kill_at(folder, command, who=who, sent=sent, is_time=is_time, chance=chance)
        watch.look()
        outcome.fell += [
            f"{label}: ran a finished stage again: {name}" for name in _ran(killed.said) & finished
        ]
        if kind != "a search":  # which runs in a copy, with a lock of its own
            finished |= watch.stages
        if not killed.hit:
            # It ended by itself, and what it was to make is there: taken away again, there is more to kill.
            if killed.code:
                outcome.fell.append(f"{label}: exit code {killed.code}: {ending(killed.said, folder)}")
                continue
            command, people = _prepared(whole, kind, chance)
            watch, finished = Watch(folder / LOCK), set()
            continue
        hits += 1
        outcome.counts[kind, sent.name] += 1
        outcome.fell += [f"{label}: went on without it: {one}" for one in killed.survivors]
        if _has_traceback(killed.said, sent):
            outcome.fell.append(f"{label}: traceback: {killed.said.strip().splitlines()[-1][:200]}")
        if kind.startswith("a stage"):
            outcome.fell += [f"{label}: half-written: {name}" for name in _half_written(whole)]
    began = time.monotonic()
    code, said = run(folder, command, seconds=1800)
    whole.seconds[" ".join(command)] = time.monotonic() - began
    outcome.rounds += 1
    label = f"{kind}: {' '.join(command)[:90]}, run again"
    if code:
        outcome.fell.append(f"{label}: exit code {code}: {ending(said, folder)}")
    outcome.fell += [f"{label}: ran a finished stage again: {name}" for name in _ran(said) & finished]
    if kind == "a search":
        if not _of_search(folder)[0].exists():
            outcome.fell.append(f"{label}: it found nothing")
        _remove(_of_search(folder))  # the undisturbed run has none
    outcome.fell += [f"{label}: {problem}" for problem in whole.differences()]
    if not kind.startswith("a stage") and (other := whole.other_stages()):
        outcome.fell.append(f"{label}: {LOCK} has other entries: {other}")


def ending(said: str, folder: Path) -> str:
    """The end of what a command said, in one line, without the names of folders of this machine."""
    for place, name in ((str(folder), "."), (sys.prefix, "…")):
        said = said.replace(place, name)
    return " ".join(said.split())[-300:]


def _prepared(whole: Undisturbed, kind: str, chance: random.Random) -> tuple[list[str], tuple[str, ...]]:
    """Takes away what a command shall make: the command, and who of its processes may be hit."""
    folder = whole.folder
    if kind.startswith("a stage"):
        name = chance.choice(whole.named(heavy=kind.endswith("with TensorFlow")))
        _remove(whole.outs(name))
        command = [sys.executable if word == "python" else word for word in whole.stages[name]["cmd"].split()]
        return command, ("parent",)
    if kind == "making mlflow.db":
        _remove(list(folder.glob("mlflow.db*")))
        return [sys.executable, "-c", _MAKE_DATABASE], ("parent",)
    if kind == "a search":
        _remove(_of_search(folder))
        return _SEARCH, ("group", "parent")
    jobs = "1" if kind == "one stage after another" else "2"
    light = whole.named(heavy=False)
    _forget(whole, set(chance.sample(light, 2)))
    return ["lung-attention", "repro", "--jobs", jobs], ("group", "parent", "child")


def _of_search(folder: Path) -> list[Path]:
    """What a search leaves: what it found, and its studies, with which it would go on."""
    cell, paths = Cell(DATASET, BACKBONE, "attention", "searched", "grouped"), Paths("sample")
    return [folder / paths.search(cell), *(folder / paths.studies(cell).parent).glob("*")]


def _forget(whole: Undisturbed, names: set[str]) -> None:
    """Makes stages stale whose outputs DVC then has nowhere: not in its lock, nor in its record of runs."""
    kept = {name: stage for name, stage in whole.stages.items() if name not in names}
    text = yaml.safe_dump({"schema": "2.0", "stages": kept}, sort_keys=False)
    (whole.folder / LOCK).write_text(text, encoding="utf-8")
    shutil.rmtree(whole.folder / ".dvc" / "cache" / "runs", ignore_errors=True)
    for name in names:
        _remove(whole.outs(name))


def _remove(paths: list[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def _ran(said: str) -> set[str]:
    return {line.split("'")[1] for line in said.splitlines() if line.startswith("Running stage '")}


def _has_traceback(said: str, sent: signal.Signals) -> bool:
    # Python's own answer to SIGINT during its imports, before there is any program to answer.
    return "Traceback (most recent call last)" in said and sent is not signal.SIGINT


def _half_written(whole: Undisturbed) -> list[str]:
    """Outputs that are there and not what they are without a kill."""
    found = hashes(whole.folder)
    return [name for name, value in whole.files.items() if found.get(name, value) != value]
