"""What is paid besides the work: an idle pipeline, imports, the whole sample, an installation."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .store import Store
from .watch import Watched, python, watch
from .workspace import LUNG_ATTENTION, ROOT

_UP_TO_DATE = "up to date"
# What of an idle `dvc repro` is DVC's own start, and what is reading the pipeline besides.
STARTS = ("dvc --version", "dvc stage list")
_WRITE_LOCK = """
import json, time
from dvc.utils.serialize import modify_yaml
started = time.perf_counter()
with modify_yaml("dvc.lock"):
    pass
print(json.dumps({"s": time.perf_counter() - started}))
"""
_TOOK = re.compile(r"(?P<stage>\w+)(@\S+)? took (?P<seconds>[\d.]+) s")


def measure_overheads(
    store: Store, folder: Path, *, turns: int, stages: list[str] | None, sample: bool
) -> None:
    """Measures what every use of the pipeline pays.

    Args:
        store: Receives the figures, under `overheads/`.
        folder: For temporary files.
        turns: How often short commands are timed.
        stages: Whose imports are timed; None for all.
        sample: Whether the sample is regenerated in a clone, and the idle pipeline timed there.
    """
    for turn in range(turns):
        for stage in stages or sorted(path.stem for path in (ROOT / "stages").glob("*.py")):
            store.once(f"overheads/import/{stage}/{turn}", _imports, stage)
    if not sample:
        return
    checkout = folder / "checkout"
    store.once("overheads/sample", _sample, checkout)
    for turn in range(turns):
        for command in STARTS:
            store.once(f"overheads/start/{command}/{turn}", _in_sample, checkout, command)
        store.once(f"overheads/idle/{turn}", _idle, checkout)
        store.once(f"overheads/lock/{turn}", _write_lock, checkout)


def measure_installation(store: Store, folder: Path) -> None:
    """Installs the locked versions into new environments, nothing cached, by pip and by uv where it is.

    Args:
        store: Receives the figures, under `installation/`.
        folder: For temporary files.
    """
    tools = {"pip": _path_without_uv()}
    if shutil.which("uv"):
        tools["uv"] = os.environ["PATH"]
    for tool, path in tools.items():
        store.once(f"installation/{tool}", _installed, folder / tool, path)


def _imports(stage: str) -> dict[str, Any]:
    program = f"import runpy; runpy.run_path('stages/{stage}.py', run_name='imported')"
    return watch(python("-c", program), cwd=ROOT).as_json()


def _cloned(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    watch(["git", "clone", "--quiet", ROOT, folder], cwd=ROOT)
    return folder


def _environment(checkout: Path) -> dict[str, str]:
    """A clone's own code, and the interpreter of this process for its stages."""
    bin_folder = Path(python()[0]).parent
    return {
        "PYTHONPATH": str(checkout / "src"),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": "",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }


def _sample(checkout: Path) -> dict[str, Any]:
    _cloned(checkout)
    seen = watch([*LUNG_ATTENTION, "repro"], cwd=checkout, environment=_environment(checkout))
    return {**seen.as_json(), "stages": stage_seconds(line for _, line in seen.lines)}


def stage_seconds(lines: Iterable[str]) -> dict[str, list[float]]:
    """The seconds of each stage's runs, as `lung-attention repro` tells them, the longest stage first."""
    found: dict[str, list[float]] = {}
    for told in filter(None, map(_TOOK.fullmatch, lines)):
        found.setdefault(told["stage"], []).append(float(told["seconds"]))
    return dict(sorted(found.items(), key=lambda one: -sum(one[1])))


def _watch_in_sample(checkout: Path, *arguments: str) -> Watched:
    if not checkout.exists():  # a run before this one was stopped after the sample
        _sample(checkout)
    return watch(python(*arguments), cwd=checkout, environment=_environment(checkout))


def _in_sample(checkout: Path, command: str) -> dict[str, Any]:
    return _watch_in_sample(checkout, "-m", *command.split()).as_json()


def _idle(checkout: Path) -> dict[str, Any]:
    seen = _watch_in_sample(checkout, "-m", "dvc", "repro")
    seen.at(_UP_TO_DATE)
    return seen.as_json()


def _write_lock(checkout: Path) -> dict[str, Any]:
    """What DVC does after each stage: it reads the lock and writes it, with comments kept."""
    return _watch_in_sample(checkout, "-c", _WRITE_LOCK).said()


def _path_without_uv() -> str:
    folders = os.environ["PATH"].split(os.pathsep)
    return os.pathsep.join(one for one in folders if not (Path(one) / "uv").exists())


def _installed(folder: Path, path: str) -> dict[str, Any]:
    checkout = _cloned(folder)
    environment = {"PATH": path, "PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1", "EXTRAS": "", "PYTHONPATH": ""}
    seen = watch(["sh", "scripts/environment.sh"], cwd=checkout, environment=environment)
    files = [file for file in (checkout / ".venv").rglob("*") if file.is_file() and not file.is_symlink()]
    size = sum(file.stat().st_size for file in files)
    shutil.rmtree(checkout)
    return {**seen.as_json(), "disk_mb": round(size / 1e6)}
