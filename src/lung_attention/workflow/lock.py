"""dvc.lock after a kill: DVC writes it in place, so that a run that is killed meanwhile leaves a part of it.

A part may be no YAML any more or, worse, be shorter and otherwise good: then finished stages would run again.
So the last whole lock is kept beside DVC's own temporary files, stage by stage, and taken up by the next run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from lung_attention.errors import UserError
from lung_attention.files import write_text
from lung_attention.workflow.status import LOCK

_HEADER = "schema: '2.0'\nstages:\n"
_HEAD = re.compile(r"^  (?! )(.+):$", flags=re.MULTILINE)


@contextmanager
def guarded_lock(root: Path) -> Iterator[None]:
    """Lets one run at a time work on a checkout, and mends what a killed one left of dvc.lock.

    Args:
        root: The project's root.

    Raises:
        UserError: Another run works there.
    """
    store = _store(root)
    store.mkdir(parents=True, exist_ok=True)
    running = store / "running"
    try:
        with FileLock(store / "alone.lock", timeout=0):
            if mend(root, was_killed=running.exists()):
                print(f"{LOCK} was cut off by a kill; its last whole state is back", flush=True)
            keep(root, anew=True)
            running.touch()
            try:
                yield
            except UserError:  # a stage failed, and DVC ended as it should
                running.unlink(missing_ok=True)
                raise
            running.unlink(missing_ok=True)
    except Timeout as error:
        raise UserError(
            "another make repro works in this checkout", remedy="wait for its end, or stop it; then again"
        ) from error


def keep(root: Path, *, anew: bool = False) -> None:
    """Keeps the lock as it stands, if it is whole.

    Args:
        root: The project's root.
        anew: Whether fewer stages than those that are kept are all right, as before a run.
    """
    kept, text = _store(root) / LOCK.name, _text(root / LOCK)
    before, now = _entries(_text(kept)), _entries(text)
    # Another process may be writing it at this moment.
    if now and _is_whole(now[next(reversed(now))]) and (anew or before.keys() <= now.keys()):
        write_text(kept, text)


def mend(root: Path, *, was_killed: bool) -> bool:
    """Puts together the lock of what stands in it whole and of what was kept.

    Args:
        root: The project's root.
        was_killed: Whether the run before did not end by itself, so that stages that are gone were cut off.

    Returns:
        Whether anything was amiss.
    """
    path = root / LOCK
    text, before = _text(path), _entries(_text(_store(root) / LOCK.name))
    now = _entries(text)
    cut_off = path.exists() and not text.startswith(_HEADER)
    # What is cut off ends in the last entry; to read the others would take seconds at every start.
    if now and not _is_whole(now[last := next(reversed(now))]):
        cut_off = True
        del now[last]
    if not cut_off and not (was_killed and before.keys() - now.keys()):
        return False
    # An entry that was cut off between two outputs looks whole, and is the beginning of what was kept.
    merged = before | {name: entry for name, entry in now.items() if not _goes_on(before.get(name), entry)}
    if not merged:
        return False  # DVC will say what is wrong
    write_text(path, _HEADER + "".join(merged.values()))
    return True


def _goes_on(kept: str | None, entry: str) -> bool:
    return kept is not None and kept.startswith(entry)


def _store(root: Path) -> Path:
    return root / ".dvc" / "tmp" / "lung-attention"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _entries(text: str) -> dict[str, str]:
    """The lines of each stage by its name."""
    places = [(found.start(), found[1]) for found in _HEAD.finditer(text)]
    ends = [*(start for start, _ in places[1:]), len(text)][: len(places)]
    return {name: text[start:end] for (start, name), end in zip(places, ends, strict=True)}


def _is_whole(entry: str) -> bool:
    """Whether an entry names its outputs with their hashes, which are its last lines."""
    try:
        (stage,) = yaml.safe_load(entry).values()
        return entry.endswith("\n") and all("md5" in out and "size" in out for out in stage["outs"])
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return False
