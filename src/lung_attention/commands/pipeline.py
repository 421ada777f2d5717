"""Commands that run the pipeline, show its runs, and say how it stands."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.paths import EXPERIMENTS, PARAMS, Paths


def default_jobs() -> int:
    """How many stages run at a time: one a core, but each takes a gigabyte of memory."""
    return min(os.cpu_count() or 1, 4)


def repro(arguments: argparse.Namespace) -> int:
    """Regenerates the default results, or another profile's beside them."""
    if arguments.jobs < 1:
        raise UserError(f"--jobs: expected at least 1, received {arguments.jobs}", remedy="--jobs 1")
    if arguments.profile:
        from lung_attention.workflow.temporary import reproduce

        reproduce(arguments.profile, arguments.set)
    elif arguments.set:
        raise UserError(
            "--set changes the default results; name a profile", remedy="make repro PROFILE=sample SET=…"
        )
    else:
        from lung_attention.workflow.check import checked_config
        from lung_attention.workflow.jobs import reproduce_in_parallel

        checked_config()
        reproduce_in_parallel(arguments.jobs)
    return 0


def experiment(arguments: argparse.Namespace) -> int:
    """Runs a profile with other settings and keeps its accuracies."""
    from lung_attention.workflow.experiments import run_experiment

    rows = run_experiment(arguments.profile, arguments.name, arguments.set)
    print(rows.to_string(index=False))
    print(f"kept in {EXPERIMENTS}; the report takes them up: make repro PROFILE={arguments.profile}")
    return 0


def search(arguments: argparse.Namespace) -> int:
    """Searches settings for one cell."""
    from lung_attention.search.launch import run_search

    cell = Cell(arguments.dataset, arguments.backbone, arguments.head, PUBLISHED, "grouped")
    path = run_search(arguments.profile, cell, arguments.set, storage=arguments.storage)
    print(f"{path} holds the settings found; further in {PARAMS} names the cells that are trained with them")
    return 0


def track(arguments: argparse.Namespace) -> int:
    """Brings the MLflow server in line with the results."""
    from lung_attention.tracking.cells import cells_with_results
    from lung_attention.tracking.publish import publish_cell

    load_config(PARAMS)  # elsewhere there are no results, whatever the profile
    paths = Paths(arguments.profile)
    cells = cells_with_results(paths)
    for cell in cells:
        print(f"{cell.name}: run {publish_cell(cell, paths, root=Path.cwd())}", flush=True)
    print(f"{len(cells)} cells of profile {arguments.profile} are in line with {paths.results}/")
    return 0


def ui(arguments: argparse.Namespace) -> int:
    """Serves MLflow's pages."""
    from lung_attention.tracking.ui import serve_ui

    load_config(PARAMS)  # elsewhere there are no runs, and nothing shall be left there
    return serve_ui(Path.cwd(), arguments.port)


def dag(_: argparse.Namespace) -> int:
    """Draws the stages."""
    from lung_attention.workflow.dag import mermaid

    print(mermaid(Path()))
    return 0


def check_lock(_: argparse.Namespace) -> int:
    """Says whether dvc.lock belongs to the code."""
    from lung_attention.workflow.status import check_lock

    print(f"dvc.lock: {check_lock(Path())} stages are locked as they stand")
    return 0


def verify(_: argparse.Namespace) -> int:
    """Removes damaged outputs from cache and work tree."""
    from lung_attention.workflow.verify import remove_damaged

    damaged = remove_damaged(Path(), Paths(load_config(PARAMS).profile))
    for path in damaged:
        print(f"damaged, removed: {path}")
    print(f"{len(damaged)} files were damaged{': make repro makes them anew' if damaged else ''}")
    return int(bool(damaged))
