"""Running the default pipeline with several stages at a time.

`dvc repro` runs one stage after another, and most of a small stage is one core's work: importing libraries
and building graphs. So stages that do not wait for each other are dealt to lanes, DVC processes that DVC's
own locks keep apart. Whatever they leave is done by a plain `dvc repro`, whose results are the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import networkx as nx  # type: ignore[import-untyped]

from lung_attention.errors import UserError
from lung_attention.tracking import check_reachable, connect

_PIPELINE = Path("dvc.yaml")


def reproduce_in_lanes(lanes: int) -> None:
    """Regenerates the results of the profile in use.

    Args:
        lanes: How many stages run at a time, at least 1.

    Raises:
        UserError: A stage failed, or the tracking server does not answer.
    """
    if lanes > 1:
        batches = pending_batches()
        if any(len(batch) > 1 for batch in batches):
            connect(Path.cwd())
            check_reachable()  # once, before two trainings at a time would make its tables
        for batch in batches:
            _run_batch(deal(batch, lanes))
    if subprocess.run(_dvc("repro"), check=False).returncode:
        raise UserError("a stage failed; the last lines above say why", remedy="make repro goes on there")


def pending_batches() -> list[list[str]]:
    """What has to be run, as far as can be told beforehand.

    Returns:
        Names of stages. Those of one batch do not wait for each other, only for earlier batches.
    """
    from dvc.repo import Repo

    with Repo() as repo:
        graph = repo.index.graph  # edges go from a stage to what it depends on
        wanted = [stage for stage in graph if Path(stage.path_in_repo) == _PIPELINE]
        needed = graph.subgraph(set(wanted).union(*(nx.descendants(graph, stage) for stage in wanted)))
        changed = repo.status()
        return batches_of(
            {stage.addressing: [other.addressing for other in needed.successors(stage)] for stage in needed},
            changed,
        )


def batches_of(dependencies: Mapping[str, Iterable[str]], changed: Collection[str]) -> list[list[str]]:
    """Sorts changed stages, and all that follow from them, into batches.

    Args:
        dependencies: What each stage depends on.
        changed: Stages that are not as locked.

    Returns:
        Batches, each stage after all it depends on, in the order of `dependencies`.
    """
    graph = nx.DiGraph()
    graph.add_nodes_from(dependencies)
    graph.add_edges_from(
        (needed, stage) for stage, all_needed in dependencies.items() for needed in all_needed
    )
    touched = {stage for stage in changed if stage in graph}
    touched = touched.union(*(nx.descendants(graph, stage) for stage in touched))
    order = list(dependencies)
    generations = nx.topological_generations(graph.subgraph(touched))
    return [sorted(generation, key=order.index) for generation in generations]


def deal(batch: Sequence[str], lanes: int) -> list[list[str]]:
    """Deals stages to lanes, there and back again: neighbours in the matrix take unlike times.

    Args:
        batch: Stages in the order of the pipeline.
        lanes: How many lanes at most.

    Returns:
        One list of stages a lane; none is empty.
    """
    dealt: list[list[str]] = [[] for _ in range(min(lanes, len(batch)))]
    there_and_back = [*range(len(dealt)), *reversed(range(len(dealt)))]
    for number, stage in enumerate(batch):
        dealt[there_and_back[number % len(there_and_back)]].append(stage)
    return dealt


def _run_batch(dealt: Sequence[Sequence[str]]) -> None:
    if len(dealt) == 1:
        processes = [subprocess.Popen(_dvc("repro", "--single-item", *dealt[0]))]
    else:
        # Lines of several stages mix; a pipe keeps progress bars away, which would overwrite each other.
        piped: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        environment = os.environ | {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "PYTHONUNBUFFERED": "1"}
        processes = [
            subprocess.Popen(_dvc("repro", "--single-item", *lane), env=environment, **piped)
            for lane in dealt
        ]
    readers = [
        threading.Thread(target=_forward, args=(process, number), daemon=True)
        for number, process in enumerate(processes, start=1)
        if process.stdout
    ]
    try:
        for reader in readers:
            reader.start()
        codes = [process.wait() for process in processes]
    finally:
        for process in processes:
            process.terminate()  # no effect on those that ended
        for reader in readers:
            reader.join(timeout=10)
    if any(codes):
        raise UserError("a stage failed; the lines above say why", remedy="make repro goes on there")


def _forward(process: subprocess.Popen[str], lane: int) -> None:
    for line in process.stdout or ():
        print(f"[{lane}] {line}", end="", flush=True)


def _dvc(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
