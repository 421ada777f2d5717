"""DVC's files after a kill: DVC writes them in place, so that a run that is killed meanwhile leaves a part.

A part of dvc.lock may be no YAML any more or, worse, be shorter and otherwise good: then finished stages
would run again. So the last whole lock is kept beside DVC's own temporary files, stage by stage, and taken up
by the next run. A part of `rwlock`, in which DVC notes who reads and writes what, makes DVC refuse all work.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from lung_attention.errors import UserError
from lung_attention.files import write_text
from lung_attention.workflow.noted import still_works
from lung_attention.workflow.status import LOCK

_HEADER = "schema: '2.0'\nstages:\n"
_HEAD = re.compile(r"^  (?! )(.+):$", flags=re.MULTILINE)


@contextmanager
def guarded_lock(root: Path) -> Iterator[None]:
    """Lets one run at a time work on a checkout, and mends what a killed one left of DVC's files.

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
            mend_notes(root)
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


def mend_notes(root: Path) -> None:
    """Removes what a kill left of DVC's notes of who reads and writes what.

    Nothing is lost: they are about processes that run, and DVC asks for these paths again.

    Args:
        root: The project's root.
    """
    tmp = root / ".dvc" / "tmp"
    for path in (tmp / "rwlock", tmp / "exps" / "rwlock"):
        if not _is_left_over(path):
            continue
        from dvc.exceptions import DvcException
        from dvc.lock import make_lock

        # A process that writes it at this moment holds this lock; where it is not to be had, DVC says why.
        with suppress(DvcException), make_lock(f"{path}.lock", tmp_dir=str(path.parent)):
            if _is_left_over(path):
                path.unlink(missing_ok=True)


def _is_left_over(path: Path) -> bool:
    """Whether notes are cut off, or all about processes that work no more."""
    try:
        written, notes = path.stat().st_mtime, json.loads(path.read_bytes())
        noted = [*notes.get("write", {}).values(), *chain(*notes.get("read", {}).values())]
        pids = {int(one["pid"]) for one in noted}
    except FileNotFoundError:
        return False
    except (ValueError, TypeError, AttributeError, LookupError):
        return True
    return bool(pids) and not any(still_works(pid, written) for pid in pids)


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
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return False
