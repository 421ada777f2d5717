"""A small copy of the project in which stages are killed: one dataset, small images, two epochs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lung_attention.config import read_values, validate
from lung_attention.files import sha256
from lung_attention.paths import PARAMS

ROOT = Path(__file__).resolve().parents[2]

DATASET, BACKBONE = "iqoth", "mobilenetv2"
CELL = f"{DATASET}-{BACKBONE}-attention-published-grouped"

_KEPT = ("results/experiments.csv",)

_SHRUNK: dict[str, Any] = {
    "datasets": [DATASET],
    "backbones": [BACKBONE],
    "heads": ["attention"],
    "splits": ["grouped"],
    "explained": {
        "datasets": [DATASET],
        "backbones": [BACKBONE],
        "heads": ["attention"],
        "recipes": ["published"],
        "splits": ["grouped"],
    },
}


def small_params() -> dict[str, Any]:
    """The parameters of the sample, narrowed so that a stage's work is short beside its imports.

    Raises:
        UserError: params.yaml has no longer what is narrowed here.
    """
    values: dict[str, Any] = read_values(ROOT / PARAMS)
    sample = values["profiles"]["sample"]
    nothing: dict[str, Any] = {
        recipe: {factor: [] for factor in part} for recipe, part in values["further"].items()
    }
    values |= {**_SHRUNK, "further": nothing}
    sample |= {key: _SHRUNK[key] for key in ("datasets", "explained")} | {"further": nothing}
    sample["preprocess"] = {"image_size_px": 64}
    sample["backbone"]["calibration_images"] = 8
    sample["train"]["recipe"] |= {"epochs": 2, "hidden_units": [8]}
    sample["search"] |= {"trials": 2}
    sample["search"]["space"]["epochs"] = {"low": 1, "high": 2}
    values["evaluate"]["resamples"] = 100
    values["audit"]["shortcuts"]["permutations"] = 99
    values["explain"] |= {"measured": 4, "draws": 2}
    values["baseline"]["trees"] = 10
    validate(values, ROOT / PARAMS)
    return values


def make_workspace(folder: Path) -> None:
    """Copies the tracked files of the project into a git repository of its own, with the small parameters.

    Args:
        folder: The copy, which does not exist yet.
    """
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in filter(None, tracked.stdout.split("\0")):
        # Results and lock are of another design; the copy makes its own.
        kept = name in _KEPT or "/search/" in name or not name.startswith(("results/", "dvc.lock", "tests/"))
        if kept and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # Without aliases: DVC loses what `--set` says of one of two places that are one in YAML.
    values = json.loads(json.dumps(small_params()))
    (folder / PARAMS).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    for words in (
        ["init", "-q"],
        ["config", "user.email", "faults@localhost"],
        ["config", "user.name", "faults"],
        ["add", "-A"],
        ["commit", "-qm", "start"],
    ):
        subprocess.run(["git", *words], cwd=folder, check=True)


def environment() -> dict[str, str]:
    """The environment of commands in a workspace: its own code, nothing of the caller's settings."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "LUNG_"))
    }
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PYTHONPATH": "src", "MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "2"}


def run(folder: Path, command: Sequence[str], *, seconds: float = 600) -> tuple[int, str]:
    """Runs a command in a workspace to its end.

    Returns:
        The exit code and all that was printed.

    Raises:
        TimeoutExpired: It took longer than `seconds`.
    """
    done = subprocess.run(
        command, cwd=folder, env=environment(), text=True, check=False, timeout=seconds,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
    )  # fmt: skip
    return done.returncode, done.stdout


def hashes(folder: Path) -> Mapping[str, str]:
    """SHA-256 of each file of artifacts/ and results/, by its path."""
    return {
        path.relative_to(folder).as_posix(): sha256(path)
        for top in ("artifacts", "results")
        for path in sorted((folder / top).rglob("*"))
        if path.is_file()
    }
