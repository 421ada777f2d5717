"""Processes that hold runs open: whether they still live, and with which code and packages they work."""

from __future__ import annotations

import os
import platform
import socket
import sys
import time
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.alive import RUN_VARIABLE
from lung_attention.workflow.git import try_git

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# A process that cannot be looked up, on another machine, is dead when its run got nothing for so long.
# System metrics come every few seconds.
_SILENCE_SECONDS = 900
_SIGN_OF_LIFE = "system/cpu_utilization_percentage"
# Where a process's start is given in seconds since 1970, it is by a clock that is sometimes set; the number
# of a process is not given again so soon.
_START_TOLERANCE_SECONDS = 60
_STARTED_FIELD = 18  # of /proc/PID/stat behind the state, the third of its fields

_PACKAGES = ("lung-attention", "keras", "tensorflow", "numpy", "pandas", "scikit-learn", "mlflow", "dvc")

# Runs that this process works on; another run with its tag was left open when the server was away.
held_here: set[str] = set()


def process_tags() -> dict[str, str]:
    """Names this process, so that any other can tell whether it still lives."""
    return {"process": f"{_here()} {os.getpid()} {_started(os.getpid())}"}


def version_tags() -> dict[str, str]:
    """The versions this process works with."""
    found = {"python": platform.python_version()} | versions(_PACKAGES)
    return {f"version.{name}": version for name, version in found.items()}


def versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of installed packages; this one is none when run from its sources."""
    installed = {package: list(metadata.distributions(name=package)) for package in packages}
    return {package: found[0].version for package, found in installed.items() if found}


def code_tags() -> dict[str, str]:
    """The commit of the code, from the folder at work, which may be DVC's isolated copy."""
    commit = (try_git("rev-parse", "HEAD") or "").strip()
    if not commit:
        return {"git_commit": "unknown"}
    # Results and locks change while a pipeline runs; the code and the parameters are what made the run.
    changed = try_git("status", "--porcelain", "--", "src", "stages", "params.yaml", "dvc.yaml")
    return {
        "git_commit": commit,
        "git_dirty": str(bool(changed)).lower(),
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": os.environ.get("DVC_STAGE", "lung-attention"),
    }


def is_alive(client: MlflowClient, run: Run) -> bool:
    """Whether the process that opened a run is still at work on it.

    A process of this machine is looked up. Any other, such as one in another container or before a restart of
    this machine, counts as alive while its run gets metrics; so it does, too, where these are of a later time
    than this machine's clock tells, since a living run must not be called dead.
    """
    if run.info.status != "RUNNING":
        return False
    where, _, process = run.data.tags.get("process", "").partition(" ")
    if where != _here():
        return bool(time.time() - _last_sign(client, run) / 1000 < _SILENCE_SECONDS)
    pid, _, began = process.partition(" ")
    if pid == str(os.getpid()):
        return run.info.run_id in held_here
    found = _started(int(pid))
    return found is not None and abs(found - float(began)) < _START_TOLERANCE_SECONDS


def _last_sign(client: MlflowClient, run: Run) -> int:
    """When a run, or an ended trial of it, got something last, in milliseconds since 1970."""
    ended_trials = client.search_runs(
        [run.info.experiment_id],
        f"tags.mlflow.parentRunId = '{run.info.run_id}' and tags.kind = 'trial'",
        order_by=["attributes.end_time DESC"],
        max_results=1,
    )
    signs = [int(run.info.start_time), *(int(trial.info.end_time or 0) for trial in ended_trials)]
    if _SIGN_OF_LIFE in run.data.metrics:
        signs += [point.timestamp for point in client.get_metric_history(run.info.run_id, _SIGN_OF_LIFE)]
    return max(signs)


def dvc_experiment() -> str | None:
    """The experiment of DVC's that this process computes for; None for results.

    What `lung-attention repro --profile` runs is one for DVC, too, but its results are brought back.
    """
    return None if RUN_VARIABLE in os.environ else os.environ.get("DVC_EXP_NAME") or None


def fail_abandoned(client: MlflowClient, experiment_id: str) -> list[str]:
    """Marks cells, fits and studies FAILED that a dead process left open, whatever their inputs.

    Runs of other kinds and of living processes are not touched. A study's is open again once somebody goes on
    with it.

    Returns:
        The ids of the runs that were marked.
    """
    still_open = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    by_kind = {
        kind: [run for run in still_open if run.data.tags.get("kind") == kind]
        for kind in ("fit", "cell", "study")
    }
    holders = by_kind["cell"] + by_kind["study"]
    living = {run.info.run_id for run in holders if is_alive(client, run)}
    # A fit lives with its cell. Fits come first, so that a kill in between leaves the cell to be found.
    dead = [run for run in by_kind["fit"] if run.data.tags.get("mlflow.parentRunId") not in living]
    dead += [run for run in holders if run.info.run_id not in living]
    # A process may have closed its run and ended since then; of the dead nothing changes any more.
    failed = [id_ for id_ in (str(run.info.run_id) for run in dead) if _is_open(client, id_)]
    for run_id in failed:
        client.set_terminated(run_id, "FAILED")
    return failed


def _is_open(client: MlflowClient, run_id: str) -> bool:
    return bool(client.get_run(run_id).info.status == "RUNNING")


def _here() -> str:
    """Where a process id means the same process: this machine since its start, this container.

    Names alone would not do, as many containers and virtual machines share theirs.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Path.readlink would not do: the target, such as pid:[4026531836], is no path.
        space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    except OSError:  # not Linux
        return socket.gethostname()
    return f"{socket.gethostname()}/{boot}/{space}"


def _started(pid: int) -> float | None:
    """When a process began, in seconds, or `None` if it has ended.

    Since the start of the machine on Linux, so that setting the clock makes no process another one; since
    1970 elsewhere.
    """
    if sys.platform == "linux":
        try:
            said = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name, in parentheses, may hold anything; the state is the first field behind it.
        state, *fields = said.rpartition(")")[2].split()
        return None if state in "ZX" else int(fields[_STARTED_FIELD]) / os.sysconf("SC_CLK_TCK")
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return None
