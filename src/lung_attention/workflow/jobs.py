"""Several stages of the default pipeline at a time.

`dvc repro` runs one stage after another, and most of a small stage is one core's work: importing libraries
and building graphs. Here a few worker processes take stages as soon as all they need is there, and DVC's own
locks keep them apart. What is left is done by a plain `dvc repro`, whose results are the same.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection
from pathlib import Path

import networkx as nx  # type: ignore[import-untyped]

from lung_attention.alive import RUN_VARIABLE
from lung_attention.errors import UserError
from lung_attention.tracking import check_reachable, connect
from lung_attention.workflow.lock import guarded_lock, keep
from lung_attention.workflow.status import PIPELINE
from lung_attention.writing import require_space

_REMEDY = "make repro goes on there"

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
    with guarded_lock(Path()):
        _reproduce_all(jobs)
        keep(Path())


def _reproduce_all(jobs: int) -> None:
    if jobs > 1:
        from dvc.exceptions import DvcException

        try:
            pending = pending_stages()
        except DvcException:
            pending = {}  # `dvc repro` will say what is wrong
        if not is_chain(pending):
            connect(Path.cwd())
            check_reachable()  # once, before two trainings at a time would make its tables
            _run_pending(pending, jobs)
    if subprocess.run([sys.executable, "-m", "dvc", "repro"], check=False).returncode:
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


def in_order(pending: Mapping[str, Iterable[str]], submit: Callable[[str], Future[int]]) -> dict[str, int]:
    """Submits each stage once all it waits for have ended well; after a failure no more are submitted.

    Args:
        pending: Stages, each with those it waits for.
        submit: Starts a stage; its future gives the exit code.

    Returns:
        The exit codes of all stages that were submitted.
    """
    sorter = TopologicalSorter(pending)
    sorter.prepare()
    running: dict[Future[int], str] = {}
    codes: dict[str, int] = {}
    while sorter.is_active():
        if not any(codes.values()):
            running |= {submit(stage): stage for stage in sorter.get_ready()}
        if not running:
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            stage = running.pop(future)
            codes[stage] = future.result()
            sorter.done(stage)
    return codes


def _run_pending(pending: Mapping[str, Iterable[str]], jobs: int) -> None:
    # Through a pipe, lines come whole, and there are no progress bars to overwrite each other.
    lines, written = multiprocessing.Pipe(duplex=False)
    reader = threading.Thread(target=_forward, args=(lines,), daemon=True)
    reader.start()
    pool = ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_prepare_worker,
        initargs=(written,),
    )
    with pool:
        try:
            codes = in_order(pending, lambda stage: pool.submit(_reproduce, stage))
        except BrokenProcessPool:
            raise UserError(
                "a worker was killed, perhaps for want of memory", remedy="make repro JOBS=1"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    written.close()
    reader.join()
    failed = sorted(stage for stage, code in codes.items() if code)
    if failed:
        raise UserError(f"failed: {', '.join(failed)}; the lines above say why", remedy=_REMEDY)


def _forward(lines: Connection) -> None:
    with os.fdopen(os.dup(lines.fileno()), encoding="utf-8", errors="replace") as text:
        for line in text:
            if not _NOTICES.match(line):
                print(line, end="", flush=True)


def _prepare_worker(written: Connection) -> None:
    for stream in (1, 2):
        os.dup2(written.fileno(), stream)
    written.close()
    # Stages that share a GPU must not take all of its memory.
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A pool's processes outlive a killed parent, waiting for work that never comes."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _reproduce(stage: str) -> int:
    from dvc.cli import main

    code = int(main(["--wait-for-lock", "repro", "--single-item", stage]))
    keep(Path())
    return code
