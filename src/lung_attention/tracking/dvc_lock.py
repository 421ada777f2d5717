"""What dvc.lock says of a training: the hash of its entry ties a run to the exact inputs and outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import yaml

from lung_attention.cells import Cell, Paths

LOCK = Path("dvc.lock")


def lock_entry(cell: Cell, paths: Paths) -> str | None:
    """The hash of a training's entry.

    Args:
        cell: The cell.
        paths: The profile's files.

    Returns:
        SHA-256 as 64 hexadecimal digits over the entry (command, dependencies, parameters and outs with their
        hashes), or `None` where neither the work tree's dvc.lock nor the one that came with the profile's
        results has an entry of this profile.
    """
    for path in (LOCK, paths.results / LOCK):
        entry = _entry(path.read_text(encoding="utf-8").splitlines(), cell.stage) if path.exists() else None
        # Stages of all profiles have the same names; their outs tell which one ran last.
        if entry and any(out["path"] == paths.trained(cell).as_posix() for out in entry["outs"]):
            return hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()
    return None


def _entry(lines: Iterable[str], stage: str) -> dict[str, list[dict[str, str]]] | None:
    """The entry of one stage. The whole file would take PyYAML seconds; an entry is an indented block."""
    head = f"  {stage}:"
    block: list[str] = []
    for line in lines:
        if block and not line.startswith("    "):
            break
        if block or line == head:
            block.append(line)
    return yaml.safe_load("\n".join(block))[stage] if block else None
