"""What dvc.lock says of a training: the hash of its entry ties a run to the exact inputs and outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from lung_attention.cells import Cell
from lung_attention.paths import Paths

LOCK = Path("dvc.lock")


def lock_entry(cell: Cell, paths: Paths) -> str | None:
    """The hash of a training's entry.

    Args:
        cell: The cell.
        paths: The profile's files.

    Returns:
        SHA-256 as 64 hexadecimal digits over the entry (command, dependencies, parameters and outs with their
        hashes), or `None` where neither the work tree's dvc.lock nor the one that came with the profile's
        results has a complete entry of this profile.
    """
    for path in (LOCK, paths.results / LOCK):
        entry = _entry(path.read_text(encoding="utf-8").splitlines(), cell.stage) if path.exists() else None
        # Stages of all profiles have the same names; their outs tell which one ran last.
        outs = (entry.get("outs") or []) if isinstance(entry, dict) else []
        whole = [out for out in outs if isinstance(out, dict) and "md5" in out]
        if any(out.get("path") == paths.trained(cell).as_posix() for out in whole):
            return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    return None


def _entry(lines: Iterable[str], stage: str) -> Any:
    """The entry of one stage. The whole file would take PyYAML seconds; an entry is an indented block.

    DVC writes the file in place, perhaps while it is read, where several stages run at a time. An entry that
    is cut off is none; `lung-attention track` tells its hash later.
    """
    head = f"  {stage}:"
    block: list[str] = []
    for line in lines:
        if block and not line.startswith("    "):
            break
        if block or line == head:
            block.append(line)
    try:
        return yaml.safe_load("\n".join(block))[stage] if block else None
    except yaml.YAMLError:
        return None
