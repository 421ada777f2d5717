"""Checks all parameters and hashes the code of every stage, so that comments change without a rerun."""

from __future__ import annotations

import sys
from pathlib import Path

try:
    from lung_attention.errors import run_guarded
except ModuleNotFoundError:  # the first stage of all: one line for `dvc repro` with another Python
    sys.exit(f"error: {sys.executable} has no lung_attention\n  -> source .venv/bin/activate")

from lung_attention.files import write_json
from lung_attention.workflow.check import checked_config
from lung_attention.workflow.code import code_digests


def main() -> None:
    """Runs the stage."""
    checked_config()
    for path, files in code_digests(Path()).items():
        write_json(path, files)


if __name__ == "__main__":
    run_guarded(main)
