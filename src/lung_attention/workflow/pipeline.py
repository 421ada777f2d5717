"""What dvc.yaml says of a stage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from lung_attention.files import sha256

PIPELINE = Path("dvc.yaml")


def code_of(stage: str) -> list[Path]:
    """The source files that a stage depends on.

    Args:
        stage: The stage's name in dvc.yaml, without the cell.

    Returns:
        The Python files, sorted; folders named as a dependency stand for the files below them.
    """
    definition = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["stages"][stage]
    files: set[Path] = set()
    for entry in definition["deps"]:
        path = Path(entry)
        if path.parts[0] in ("src", "stages"):
            files |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return sorted(files)


def inputs_digest(files: Iterable[Path], values: Mapping[str, Any]) -> str:
    """A hash of all that determines a result: the same inputs give the same result.

    Args:
        files: Code and data files; names and contents count.
        values: Parameters.

    Returns:
        A SHA-256 as 64 hexadecimal digits.
    """
    lines = [f"{path.as_posix()} {sha256(path)}" for path in sorted(files)]
    lines += [f"{key}={values[key]!r}" for key in sorted(values)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
