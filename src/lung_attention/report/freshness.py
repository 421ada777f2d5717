"""Whether a committed report still belongs to the code beside it.

The results of a profile come with the dvc.lock that made them. It holds the hash of each file of code that a
stage depended on; where the work tree has other code, the report says so.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lung_attention.report.numbers import listed
from lung_attention.report.regions import replace_region

FRESHNESS = "freshness"

_CODE = ("src", "stages")
_IGNORED_SUFFIX = ".pyc"
_IGNORED_FOLDER = "__pycache__"  # as .dvcignore has it


def stale_stages(lock: Mapping[str, Any], root: Path) -> list[str]:
    """Names the stages whose code is another one now.

    Args:
        lock: The content of a dvc.lock.
        root: The work tree.

    Returns:
        The names, such as `train@iqoth-densenet121-plain-published`, in the order of the lock. Data and
        parameters are not looked at.
    """
    known: dict[str, str | None] = {}
    stale = []
    for name, stage in lock.get("stages", {}).items():
        for dependency in stage.get("deps", []):
            path = dependency["path"]
            if Path(path).parts[0] not in _CODE:
                continue
            if path not in known:
                known[path] = dvc_md5(root / path)
            if known[path] != dependency["md5"]:
                stale.append(str(name))
                break
    return stale


def dvc_md5(path: Path) -> str | None:
    """The hash under which DVC records a file or folder.

    Args:
        path: A file, or a folder of code.

    Returns:
        A file's MD5. For a folder the MD5 of a JSON list of its files' `md5` and `relpath`, sorted by the
        latter, with the ending `.dir`; byte code is left out. None if there is nothing at `path`.
    """
    if path.is_dir():
        files = {
            file.relative_to(path).as_posix(): file
            for file in path.rglob("*")
            if file.is_file() and file.suffix != _IGNORED_SUFFIX and _IGNORED_FOLDER not in file.parts
        }
        entries = [{"md5": _md5(files[name].read_bytes()), "relpath": name} for name in sorted(files)]
        return _md5(json.dumps(entries, sort_keys=True).encode()) + ".dir"
    return _md5(path.read_bytes()) if path.is_file() else None


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def stamp(text: str, stale: Sequence[str]) -> str:
    """Puts a notice at the top of a report, or takes it away.

    Args:
        text: report.md or report.html, with its marked region.
        stale: Names of stages whose code has changed since; empty if the report is fresh.

    Returns:
        The text. Stamping twice is the same as stamping once.

    Raises:
        UserError: The text has no marked region.
    """
    notice = notice_of(stale)
    if notice:
        is_page = text.lstrip().lower().startswith("<!doctype html")
        notice = f'<p class="notice stale">{notice}</p>' if is_page else f"> **Note.** {notice}"
    return replace_region(text, FRESHNESS, notice)


def notice_of(stale: Sequence[str]) -> str:
    """Says which stages' code has changed; nothing where none has."""
    if not stale:
        return ""
    counts = Counter(name.partition("@")[0] for name in stale)
    named = [f"{stage} ({number})" if number > 1 else stage for stage, number in counts.items()]
    what = "this stage" if len(counts) == 1 else "these stages"
    return (
        f"The code of {what} has changed since the figures below were computed: {listed(named)}. "
        "They may no longer be what the code gives."
    )
