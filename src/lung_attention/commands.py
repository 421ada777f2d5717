"""What each command of `lung-attention` does; returns its exit code.

Heavy imports stand inside, so that no command waits for those of another.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from lung_attention.cells import Cell, design
from lung_attention.config import Config, load_config, read_values, validate
from lung_attention.errors import UserError
from lung_attention.files import write_json, write_text
from lung_attention.paths import EXPERIMENTS, PARAMS, Paths


def make_sample(arguments: argparse.Namespace) -> int:
    """Draws the embedded archives."""
    from lung_attention.data.sample.archives import make_sample

    for name, digest in make_sample(arguments.to, seed=arguments.seed).items():
        print(f"{digest}  {arguments.to / name}")
    return 0


def default_lanes() -> int:
    """How many stages run at a time: one a core, but each takes a gigabyte of memory."""
    return min(os.cpu_count() or 1, 4)


def repro(arguments: argparse.Namespace) -> int:
    """Regenerates the default results, or another profile's beside them."""
    if arguments.profile:
        from lung_attention.workflow.temporary import reproduce

        reproduce(arguments.profile, arguments.set)
    elif arguments.set:
        raise UserError(
            "--set changes the default results; name a profile", remedy="make repro PROFILE=sample SET=…"
        )
    else:
        from lung_attention.workflow.jobs import reproduce_in_lanes

        reproduce_in_lanes(arguments.lanes)
    return 0


def datasets(arguments: argparse.Namespace) -> int:
    """Lists where everything comes from."""
    from lung_attention.data.sources.listing import list_items

    print(list_items())
    return 0


def fetch(arguments: argparse.Namespace) -> int:
    """Fetches datasets and weights."""
    from lung_attention.data.sources.client import PATIENCE
    from lung_attention.data.sources.fetch import fetch_named
    from lung_attention.data.sources.resolve import downloads_folder

    public = load_config(PARAMS).profiles["public"]
    for name, digest in fetch_named(
        arguments.names or [*public.datasets, *public.backbone.pins],
        arguments.to or downloads_folder(),
        settings=public,
        patience=PATIENCE,
        consent=arguments.yes,
    ).items():
        print(f"{digest}  {name}")
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

    cell = Cell(arguments.dataset, arguments.backbone, arguments.head, "grouped")
    storage = arguments.storage or os.environ.get("LUNG_ATTENTION_STORAGE")
    path = run_search(arguments.profile, cell, arguments.set, storage=storage or None)
    print(f"{path} holds the settings found; name the cell in {PARAMS}, tuned, to train with them")
    return 0


def track(arguments: argparse.Namespace) -> int:
    """Brings the MLflow server in line with the results."""
    from lung_attention.tracking.cells import cells_with_results
    from lung_attention.tracking.publish import publish_cell

    paths = Paths(arguments.profile)
    cells = cells_with_results(paths)
    for cell in cells:
        print(f"{cell.name}: run {publish_cell(cell, paths, root=Path.cwd())}", flush=True)
    print(f"{len(cells)} cells of profile {arguments.profile} are in line with {paths.results}/")
    return 0


def audit(arguments: argparse.Namespace) -> int:
    """Looks for leaks in images and a split of the user's own."""
    from lung_attention.audit.own_split import run_audit_command

    result, text, code = run_audit_command(
        arguments.table,
        near_duplicate_cosine=arguments.cosine,
        near_duplicates_leak=not arguments.look_alikes_are_no_leak,
        listed=arguments.listed,
    )
    print(text)
    if arguments.json:
        write_json(arguments.json, result)
    return code


def drift(arguments: argparse.Namespace) -> int:
    """Compares this machine's figures with the committed ones."""
    from lung_attention.gate.reproducibility import compare_with_commit

    config = load_config(PARAMS)
    cells = list(design(config.datasets, config.backbones, config.heads, config.splits))
    table = compare_with_commit(cells, Paths(config.profile), revision=arguments.revision)
    print(table.to_string(index=False, float_format="%.4f"))
    worst = table["difference"].max()
    tolerance = config.active.tolerance
    verdict = "within" if worst <= tolerance else "BEYOND"
    print(f"largest difference {worst:.4f}: {verdict} the tolerance of {tolerance} (params.yaml)")
    return int(worst > tolerance)


def check_lock(_: argparse.Namespace) -> int:
    """Says whether dvc.lock belongs to the code."""
    from lung_attention.workflow.status import check_lock

    print(f"dvc.lock: {check_lock()} stages are locked as they stand")
    return 0


def stamp(arguments: argparse.Namespace) -> int:
    """Lets a report say whether its code has changed since."""
    from lung_attention.report.freshness import stamp

    paths = Paths(arguments.profile)
    stale = _stale_stages(paths)
    if stale is None:
        raise UserError(
            f"{paths.results / 'dvc.lock'} is missing", remedy=f"make repro PROFILE={arguments.profile}"
        )
    for path in (paths.report_markdown, paths.report_html):
        write_text(path, stamp(path.read_text(encoding="utf-8"), stale))
    print(f"{paths.results}: {len(stale)} stages have other code now" if stale else f"{paths.results}: fresh")
    return 0


def _stale_stages(paths: Paths) -> list[str] | None:
    """The stages of a profile's own lock whose code has changed since; None where it has no such lock."""
    from lung_attention.report.freshness import stale_stages

    lock = paths.results / "dvc.lock"
    return stale_stages(yaml.safe_load(lock.read_text(encoding="utf-8")), Path()) if lock.exists() else None


def _design_of(profile: str) -> Config | None:
    """The work tree's parameters with the design of a profile's results; None where it has none.

    Only the design is taken from the results: other parameters may have come or gone since.
    """
    path, values = Paths(profile).results / PARAMS, read_values(PARAMS)
    if values["profile"] == profile:
        return validate(values, PARAMS)
    if not path.exists():
        return None
    kept = read_values(path)
    design = ("profile", "datasets", "backbones", "heads", "splits", "tuned")
    return validate(values | {key: kept[key] for key in design}, path)


def readme(arguments: argparse.Namespace) -> int:
    """Writes the committed figures into README.md."""
    from lung_attention.report.collect import load_results
    from lung_attention.report.freshness import notice_of
    from lung_attention.report.readme import render_tables
    from lung_attention.report.regions import replace_region

    readme = Path("README.md")
    old = text = readme.read_text(encoding="utf-8")
    for profile in ("sample", "local"):
        config = _design_of(profile)
        if config is None:
            continue
        note = notice_of(_stale_stages(Paths(profile)) or [])
        tables = render_tables(load_results(config, Path()), note=note)
        text = replace_region(text, f"results-{profile}", tables)
    if arguments.check:
        if text != old:
            raise UserError("README.md does not show the committed figures", remedy="lung-attention readme")
        return 0
    write_text(readme, text)
    return 0


def gate(arguments: argparse.Namespace) -> int:
    """Compares the results with a reference."""
    from lung_attention.gate.command import run_gate_command
    from lung_attention.gate.report import refused_json, refused_markdown, to_json, to_markdown

    try:
        outcome = run_gate_command(
            arguments.reference, profile=arguments.profile, margin=arguments.margin, cells=arguments.cells
        )
    except UserError as error:
        # Whoever reads the files must not find those of an earlier run.
        if arguments.markdown:
            write_text(arguments.markdown, refused_markdown(error))
        if arguments.json:
            write_json(arguments.json, refused_json(error))
        raise
    text = to_markdown(outcome)
    print(text, end="")
    if arguments.markdown:
        write_text(arguments.markdown, text)
    if arguments.json:
        write_json(arguments.json, to_json(outcome))
    if arguments.promote and outcome.exit_code == 0:
        _promote(outcome.profile, [result.cell for result in outcome.results])
    return outcome.exit_code


def _promote(profile: str, cells: Sequence[str]) -> None:
    from lung_attention.tracking.cells import cells_with_results, promote

    paths = Paths(profile)
    versions = promote(cells_with_results(paths, cells), paths, root=Path.cwd())
    for name, version in versions.items():
        print(f"models:/{name}@champion is version {version}")
    if not versions:
        print(f"profile {profile} is made of stand-ins: none of its models is registered")
