"""Which process holds a run open, whether it still does, and with which code and packages it works."""

from __future__ import annotations

import os
import platform
import socket
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.workflow.git import try_git

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# A process that cannot be looked up, on another machine, is dead when its run got nothing for so long.
# System metrics come every few seconds.
_SILENCE_SECONDS = 900
_SIGNS_OF_LIFE = ("system/cpu_utilization_percentage", "loss")

_PACKAGES = ("lung-attention", "keras", "tensorflow", "numpy", "pandas", "scikit-learn", "mlflow", "dvc")

# Runs that this process works on; another run with its tag was left open when the server was away.
held_here: set[str] = set()


def process_tags() -> dict[str, str]:
    """Names this process, so that any other can tell whether it still lives."""
    return {"process": f"{_here()} {os.getpid()} {_started(os.getpid())}"}


def version_tags() -> dict[str, str]:
    """The versions this process works with."""
    tags = {"version.python": platform.python_version()}
    for package in _PACKAGES:
        try:
            tags[f"version.{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return tags


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

    Args:
        client: The server.
        run: A run with the tags of `process_tags`.

    Returns:
        For a process of this machine, what the system says. Any other, such as one in another container or
        before a restart of this machine, counts as alive while its run gets metrics.
    """
    if run.info.status != "RUNNING":
        return False
    where, _, process = run.data.tags.get("process", "").partition(" ")
    if where == _here():
        pid, _, started = process.partition(" ")
        if pid == str(os.getpid()):
            return run.info.run_id in held_here
        return pid.isdigit() and _started(int(pid)) == started
    return bool(time.time() - _last_sign(client, run) / 1000 < _SILENCE_SECONDS)


def _last_sign(client: MlflowClient, run: Run) -> int:
    """When the run, an open fit or an ended trial of it got something last, in milliseconds since 1970."""
    open_fits = client.search_runs(
        [run.info.experiment_id],
        f"tags.mlflow.parentRunId = '{run.info.run_id}' and attributes.status = 'RUNNING'",
    )
    ended_trials = client.search_runs(
        [run.info.experiment_id],
        f"tags.mlflow.parentRunId = '{run.info.run_id}' and tags.kind = 'trial'",
        order_by=["attributes.end_time DESC"],
        max_results=1,
    )
    signs = [int(run.info.start_time), *(int(trial.info.end_time or 0) for trial in ended_trials)]
    for each in (run, *open_fits):
        for name in _SIGNS_OF_LIFE:
            if name in each.data.metrics:
                signs += [point.timestamp for point in client.get_metric_history(each.info.run_id, name)]
    return max(signs)


def fail_abandoned(client: MlflowClient, experiment_id: str) -> list[str]:
    """Marks cells, fits and studies FAILED that a dead process left open, whatever their inputs.

    A cell's run may be of a training that ended well while the server was away. Its tag `abandoned` tells it
    from one that raised, so that it can still be completed. A study's is open again once somebody goes on.

    Args:
        client: The server.
        experiment_id: Where to look. Runs of other kinds and of living processes are not touched.

    Returns:
        The ids of the runs that were marked.
    """
    still_open = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
    cells = [run for run in still_open if run.data.tags.get("kind") == "cell"]
    living = {run.info.run_id for run in cells if is_alive(client, run)}
    # A fit lives with its cell. Fits come first, so that a kill in between leaves the cell to be found.
    marked = [
        str(run.info.run_id)
        for run in still_open
        if run.data.tags.get("kind") == "fit" and run.data.tags.get("mlflow.parentRunId") not in living
    ]
    marked += [
        str(run.info.run_id)
        for run in still_open
        if run.data.tags.get("kind") == "study" and not is_alive(client, run)
    ]
    for run_id in marked:
        client.set_terminated(run_id, "FAILED")
    for run_id in (str(run.info.run_id) for run in cells if run.info.run_id not in living):
        client.set_tag(run_id, "abandoned", "true")
        client.set_terminated(run_id, "FAILED")
        marked.append(run_id)
    return marked


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


def _started(pid: int) -> str | None:
    """When a process began, in whatever unit the system counts, or `None` if it has ended."""
    if Path("/proc/self/stat").exists():
        try:
            # After the name, which is in parentheses and may hold blanks: the state comes first.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        # Clock ticks since boot: unlike a time of day they do not change when the clock is set.
        return None if fields[0] in "ZX" else fields[19]
    import psutil  # type: ignore[import-untyped]

    try:
        return f"{psutil.Process(pid).create_time():.0f}"
    except psutil.NoSuchProcess:
        return None
