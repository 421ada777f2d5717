"""The pipeline as a picture of its stages: `dvc dag` draws every cell, thousands of characters wide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import networkx as nx  # type: ignore[import-untyped]

from lung_attention.config import read_values
from lung_attention.workflow.status import CODE_STAGE, PIPELINE

_SCRIPT = re.compile(r"stages/(\w+)\.py")
_FACTOR = re.compile(r"\$\{item\.\w+\}")


def mermaid(root: Path) -> str:
    """The stages of dvc.yaml and what follows from what, in Mermaid's words.

    Stages that run the same script are one, the hash of the code, which all depend on, is left out, and so is
    an arrow where others lead to the same stage.
    """
    graph = stage_graph(read_values(root / PIPELINE)["stages"])
    together: dict[tuple[str, ...], list[str]] = {}
    for stage in graph:
        if graph.out_degree(stage):
            together.setdefault(tuple(graph.successors(stage)), []).append(stage)
    lines = [f"  {' & '.join(stages)} --> {' & '.join(after)}" for after, stages in together.items()]
    return "\n".join(["flowchart LR", *lines])


def stage_graph(stages: Mapping[str, Any]) -> nx.DiGraph:
    """What follows from what, without arrows that others imply.

    Args:
        stages: Those of a dvc.yaml, as they stand there.

    Returns:
        Names of scripts; edges go from what is needed to what needs it.
    """
    outs: dict[str, list[str]] = {}
    deps: dict[str, list[str]] = {}
    for stage in stages.values():
        found = _SCRIPT.search(stage["cmd"])
        if found is None or found[1] == CODE_STAGE:
            continue
        outs.setdefault(found[1], []).extend(_paths(stage, "outs", "metrics", "plots"))
        deps.setdefault(found[1], []).extend(_paths(stage, "deps"))
    graph = nx.DiGraph()
    graph.add_nodes_from(outs)
    graph.add_edges_from(
        (before, after)
        for after, needed in deps.items()
        for before, made in outs.items()
        if before != after and any(_overlap(one, other) for one in made for other in needed)
    )
    reduced = nx.transitive_reduction(graph)
    order = {name: number for number, name in enumerate(outs)}
    ordered = nx.DiGraph()
    ordered.add_nodes_from(outs)
    ordered.add_edges_from(sorted(reduced.edges, key=lambda edge: (order[edge[0]], order[edge[1]])))
    return ordered


def _paths(stage: Mapping[str, Any], *kinds: str) -> Iterator[str]:
    for kind in kinds:
        for entry in stage.get(kind) or []:
            yield _FACTOR.sub("*", entry if isinstance(entry, str) else next(iter(entry)))


def _overlap(one: str, other: str) -> bool:
    first, second = PurePosixPath(one), PurePosixPath(other)
    return first == second or first in second.parents or second in first.parents
