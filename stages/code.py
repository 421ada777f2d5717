"""Hashes the code of every stage, so that comments, docstrings and layout can change without a rerun."""

from __future__ import annotations

from pathlib import Path

from lung_attention.errors import run_guarded
from lung_attention.files import write_json
from lung_attention.workflow.code import code_digests


def main() -> None:
    """Runs the stage."""
    for path, files in code_digests(Path()).items():
        write_json(path, files)


if __name__ == "__main__":
    run_guarded(main)
