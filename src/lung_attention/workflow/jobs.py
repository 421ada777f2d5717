"""Several stages of the default pipeline at a time.

`dvc repro` runs one stage after another, and most of a small stage is one core's work: importing libraries
and building graphs. Here a few processes each run a stage as soon as all it needs is there, libraries are
imported once for all of them (`forked`), and DVC's own locks keep them apart. What is left is done by a plain
`dvc repro`, whose results are the same.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import networkx as nx  # type: ignore[import-untyped]

from lung_attention.alive import RUN_VARIABLE
from lung_attention.errors import UserError
from lung_attention.tracking import check_reachable, connect
from lung_attention.workflow.forked import end_server, fork_stages, worker_context
from lung_attention.workflow.lock import guarded_lock, keep
from lung_attention.workflow.status import CODE_STAGE, PIPELINE
from lung_attention.writing import require_space

_REMEDY = "make repro goes on there"
# For processes that were asked to end, or whose run failed.
_PATIENCE_SECONDS = 15

# TensorFlow prints these at each import, whatever TF_CPP_MIN_LOG_LEVEL says (tensorflow/tensorflow#100442):
# that lines may follow, which processor this is, and that there is no GPU.
_NOTICES = re.compile(r"WARNING: All log messages before absl|I0000 |E0000 .*failed call to cuInit")


def reproduce_in_parallel(jobs: int) -> None:
    """Regenerates the results of the profile in use.

    Args:
        jobs: How many stages run at a time.

    Raises:
        UserError: A stage failed, or the tracking server does not answer.
    """
    require_space(Path())
    os.environ[RUN_VARIABLE] = str(os.getpid())
    # Stages call `python`, which is that of this environment, activated or not.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with guarded_lock(Path()):
        _reproduce_all(jobs)
        keep(Path())


def _reproduce_all(jobs: int) -> None:
    if jobs > 1 and not is_chain(pending := _pending_if_any()):
        # Stages that share a GPU must not take all of its memory.
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        context = worker_context()
        if CODE_STAGE in pending:
            # All stages follow it, and for most changes of code few of them will be stale.
            _dvc_repro("--single-item", CODE_STAGE)
            pending = _pending_if_any()
        if not is_chain(pending):
            connect(Path.cwd())
            check_reachable()  # once, before two trainings at a time would make its tables
            _run_pending(pending, jobs, context)
        end_server()
    _dvc_repro()


def _pending_if_any() -> dict[str, list[str]]:
    from dvc.exceptions import DvcException

    try:
        return pending_stages()
    except DvcException:
        return {}  # `dvc repro` will say what is wrong


def _dvc_repro(*arguments: str) -> None:
    if subprocess.run([sys.executable, "-m", "dvc", "repro", *arguments], check=False).returncode:
        raise UserError("a stage failed; the last lines above say why", remedy=_REMEDY)


def pending_stages() -> dict[str, list[str]]:
    """What has to be run, as far as can be told beforehand.

    Returns:
        Names of stages, each with those of them that it waits for.

    Raises:
        DvcException: The pipeline cannot be read.
    """
    from dvc.repo import Repo

    with Repo() as repo:
        graph = repo.index.graph  # edges go from a stage to what it depends on
        wanted = [stage for stage in graph if Path(stage.path_in_repo) == PIPELINE]
        needed = set(wanted).union(*(nx.descendants(graph, stage) for stage in wanted))
        dependencies = {
            stage.addressing: [other.addressing for other in graph.successors(stage)]
            for stage in graph
            if stage in needed
        }
        return touched_stages(dependencies, repo.status())


def touched_stages(
    dependencies: Mapping[str, Iterable[str]], changed: Collection[str]
) -> dict[str, list[str]]:
    """Changed stages and all that follow from them.

    Args:
        dependencies: What each stage depends on.
        changed: Stages that are not as locked.

    Returns:
        Those stages in the order of `dependencies`, each with those of them that it depends on.
    """
    graph = _graph(dependencies)
    touched = {stage for stage in changed if stage in graph}
    touched = touched.union(*(nx.descendants(graph, stage) for stage in touched))
    return {
        stage: [needed for needed in all_needed if needed in touched]
        for stage, all_needed in dependencies.items()
        if stage in touched
    }


def is_chain(pending: Mapping[str, Iterable[str]]) -> bool:
    """Whether each of these stages waits for another one, so that no two can run at a time."""
    graph = _graph(pending)
    return len(nx.dag_longest_path(graph)) == len(graph)


def _graph(dependencies: Mapping[str, Iterable[str]]) -> nx.DiGraph:
    """Edges go from what is needed to what needs it."""
    graph = nx.DiGraph((needed, stage) for stage, all_needed in dependencies.items() for needed in all_needed)
    graph.add_nodes_from(dependencies)
    return graph


def in_order(
    pending: Mapping[str, Iterable[str]], jobs: int, start: Callable[[str], BaseProcess]
) -> dict[str, int]:
    """Starts each stage once all it waits for have ended well; after a failure no more are started.

    Args:
        pending: Stages, each with those it waits for.
        jobs: How many run at a time.
        start: Starts a stage, in a process of its own.

    Returns:
        The exit codes of all stages that were started; negative for the signal that ended one.
    """
    sorter = TopologicalSorter(pending)
    sorter.prepare()
    ready: list[str] = []
    running: dict[int, tuple[str, BaseProcess]] = {}
    codes: dict[str, int] = {}
    try:
        while sorter.is_active():
            ready += sorter.get_ready()
            while ready and len(running) < jobs and not any(codes.values()):
                process = start(ready[0])
                running[process.sentinel] = ready.pop(0), process
            if not running:
                break
            for sentinel in wait(list(running)):
                assert isinstance(sentinel, int)
                stage, process = running.pop(sentinel)
                process.join()
                codes[stage] = process.exitcode or 0
                sorter.done(stage)
    finally:
        # Ctrl-C has asked them, too, but for one that was just being forked. Their stages end with this one.
        deadline = time.monotonic() + _PATIENCE_SECONDS
        for _, process in running.values():
            process.join(max(0.0, deadline - time.monotonic()))
            if process.exitcode is None:
                process.terminate()
    return codes


def _run_pending(pending: Mapping[str, Iterable[str]], jobs: int, context: BaseContext) -> None:
    # Through a pipe, lines come whole, and there are no progress bars to overwrite each other.
    lines, written = multiprocessing.Pipe(duplex=False)
    reader = threading.Thread(target=_forward, args=(lines,), daemon=True)
    reader.start()
    environment = dict(os.environ)

    def start(stage: str) -> BaseProcess:
        return begun(context.Process(target=_reproduce, args=(stage, written, environment)), stage)  # type: ignore[attr-defined]

    codes = in_order(pending, jobs, start)
    written.close()
    reader.join()
    failed = sorted(stage for stage, code in codes.items() if code)
    if any(code < 0 for code in codes.values()):
        raise UserError(
            f"killed, perhaps for want of memory: {', '.join(failed)}", remedy="make repro JOBS=1"
        )
    if failed:
        said = f"failed: {', '.join(failed)}"
        try:
            require_space(Path())
        except UserError as full:  # whatever the lines above say
            raise UserError(f"{said}; {full.problem}", remedy=f"{full.remedy}; {_REMEDY}") from full
        raise UserError(f"{said}; the lines above say why", remedy=_REMEDY)


def begun(process: BaseProcess, stage: str) -> BaseProcess:
    """A stage's process, begun.

    Raises:
        UserError: The process that it is forked from has been ended meanwhile.
    """
    try:
        process.start()
    except (EOFError, OSError) as error:
        raise UserError(
            f"{stage}: no process could be made for it ({type(error).__name__}: {error})", remedy=_REMEDY
        ) from error
    return process


def _forward(lines: Connection) -> None:
    with os.fdopen(os.dup(lines.fileno()), encoding="utf-8", errors="replace") as text:
        for line in text:
            if not _NOTICES.match(line):
                print(line, end="", flush=True)


def _reproduce(stage: str, written: Connection, environment: Mapping[str, str]) -> None:
    """Runs a stage and ends this process with its exit code."""
    # The server that this process is forked from may have begun in another environment.
    os.environ.update(environment)
    for stream in (1, 2):
        os.dup2(written.fileno(), stream)
    written.close()
    fork_stages()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from dvc.cli import main

    began = time.monotonic()
    code = int(main(["--wait-for-lock", "repro", "--single-item", stage]))
    with suppress(OSError):  # of a full disk has been told; the next run keeps the lock
        keep(Path())
    if not code:
        print(f"{stage} took {time.monotonic() - began:.1f} s", flush=True)
    sys.exit(code)


def _end_with_parent() -> None:
    """A killed parent's stages end, too: nobody would look at what they leave."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
