"""The command `lung-attention`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import yaml

from lung_attention.cells import PARAMS, Cell, Paths, design
from lung_attention.config import load_config
from lung_attention.errors import UserError, run_guarded
from lung_attention.files import write_json, write_text


def _make_sample(arguments: argparse.Namespace) -> int:
    from lung_attention.data.sample import make_sample

    for name, digest in make_sample(arguments.to, seed=arguments.seed).items():
        print(f"{digest}  {arguments.to / name}")
    return 0


def _repro(arguments: argparse.Namespace) -> int:
    from lung_attention.isolated import reproduce

    reproduce(arguments.profile, arguments.set)
    return 0


def _datasets(arguments: argparse.Namespace) -> int:
    from lung_attention.data.sources.listing import list_items

    print(list_items())
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
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


def _experiment(arguments: argparse.Namespace) -> int:
    from lung_attention.cells import EXPERIMENTS
    from lung_attention.experiments import run_experiment

    rows = run_experiment(arguments.profile, arguments.name, arguments.set)
    print(rows.to_string(index=False))
    print(f"kept in {EXPERIMENTS}; the report takes them up: make repro PROFILE={arguments.profile}")
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from lung_attention.search.launch import run_search

    cell = Cell(arguments.dataset, arguments.backbone, arguments.head, "grouped")
    storage = arguments.storage or os.environ.get("LUNG_ATTENTION_STORAGE")
    for path in run_search(arguments.profile, cell, arguments.set, storage=storage or None):
        print(path)
    return 0


def _track(arguments: argparse.Namespace) -> int:
    from lung_attention.tracking.cells import cells_with_results, publish_cell

    paths = Paths(arguments.profile)
    cells = cells_with_results(paths)
    for cell in cells:
        print(f"{cell.name}: run {publish_cell(cell, paths, root=Path.cwd())}", flush=True)
    print(f"{len(cells)} cells of profile {arguments.profile} are in line with {paths.results}/")
    return 0


def _promote(arguments: argparse.Namespace) -> int:
    from lung_attention.tracking.cells import cells_with_results, promote

    paths = Paths(arguments.profile)
    versions = promote(cells_with_results(paths, arguments.cells), paths, root=Path.cwd())
    for name, version in versions.items():
        print(f"models:/{name}@champion is version {version}")
    if not versions:
        print(f"profile {arguments.profile} is made of stand-ins: none of its models is registered")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
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


def _drift(arguments: argparse.Namespace) -> int:
    from lung_attention.drift import compare_with_commit

    config = load_config(PARAMS)
    cells = list(design(config.datasets, config.backbones, config.heads, config.splits))
    table = compare_with_commit(cells, Paths(config.profile), revision=arguments.revision)
    print(table.to_string(index=False, float_format="%.4f"))
    worst = table["difference"].max()
    tolerance = config.active.tolerance
    verdict = "within" if worst <= tolerance else "BEYOND"
    print(f"largest difference {worst:.4f}: {verdict} the tolerance of {tolerance} (params.yaml)")
    return int(worst > tolerance)


def _check_lock(_: argparse.Namespace) -> int:
    from lung_attention.lock import check_lock

    print(f"dvc.lock: {check_lock()} stages are locked as they stand")
    return 0


def _stamp(arguments: argparse.Namespace) -> int:
    from lung_attention.report.freshness import stale_stages, stamp

    paths = Paths(arguments.profile)
    lock = paths.results / "dvc.lock"
    if not lock.exists():
        raise UserError(f"{lock} is missing", remedy=f"make repro PROFILE={arguments.profile}")
    stale = stale_stages(yaml.safe_load(lock.read_text(encoding="utf-8")), Path())
    for path in (paths.report_markdown, paths.report_html):
        write_text(path, stamp(path.read_text(encoding="utf-8"), stale))
    print(f"{paths.results}: {len(stale)} stages have other code now" if stale else f"{paths.results}: fresh")
    return 0


def _readme(arguments: argparse.Namespace) -> int:
    from lung_attention.report.collect import load_results
    from lung_attention.report.readme import render_tables
    from lung_attention.report.regions import replace_region

    readme = Path("README.md")
    old = text = readme.read_text(encoding="utf-8")
    for profile in ("sample", "local"):
        params = Paths(profile).results / "params.yaml"
        source = params if params.exists() else PARAMS
        config = load_config(source)
        if config.profile == profile:
            text = replace_region(text, f"results-{profile}", render_tables(load_results(config, Path())))
    if arguments.check:
        if text != old:
            raise UserError("README.md does not show the committed figures", remedy="lung-attention readme")
        return 0
    write_text(readme, text)
    return 0


def _gate(arguments: argparse.Namespace) -> int:
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
    return outcome.exit_code


def _gate_simulation(arguments: argparse.Namespace) -> int:
    from lung_attention.gate.command import rule_of
    from lung_attention.gate.simulation import simulate_all, to_markdown
    from lung_attention.report.regions import replace_region

    settings = load_config(PARAMS).profiles[arguments.profile].gate
    results = simulate_all(
        rule_of(settings),
        settings.training_sd,
        reruns=arguments.reruns,
        repeats=arguments.repeats,
        tell=print,
    )
    page = arguments.page.read_text(encoding="utf-8")
    write_text(arguments.page, replace_region(page, "gate-simulation", to_markdown(results)))
    return 0


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(prog="lung-attention", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    sample = commands.add_parser("make-sample", help="draw the embedded synthetic archives anew")
    sample.add_argument("--to", type=Path, default=Path("sample"), metavar="FOLDER")
    sample.add_argument("--seed", type=int, default=20260101)
    sample.set_defaults(run=_make_sample)

    datasets = commands.add_parser("datasets", help="say where each dataset and weight file comes from")
    datasets.set_defaults(run=_datasets)

    fetch = commands.add_parser("fetch", help="fetch, verify and record datasets and weights")
    fetch.add_argument(
        "names", nargs="*", metavar="NAME", help="datasets or backbones; all of the profile public"
    )
    fetch.add_argument(
        "--to", type=Path, metavar="FOLDER", help="else $LUNG_ATTENTION_DOWNLOADS or the user's cache"
    )
    fetch.add_argument("--yes", action="store_true", help="agree to transfers of more than 5 GB")
    fetch.set_defaults(run=_fetch)

    repro = commands.add_parser("repro", help="regenerate a profile's results beside the default ones")
    repro.add_argument("--profile", required=True)
    repro.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. 'splits=[published]'"
    )
    repro.set_defaults(run=_repro)

    experiment = commands.add_parser(
        "experiment", help="run a profile with other settings and keep its accuracies beside the results"
    )
    experiment.add_argument("name", help="what is asked, e.g. 'nearest pixel instead of bilinear'")
    experiment.add_argument("--profile", required=True)
    experiment.add_argument(
        "--set",
        action="append",
        required=True,
        metavar="KEY=VALUE",
        help="as in repro, e.g. 'datasets=[iqoth]'",
    )
    experiment.set_defaults(run=_experiment)

    search = commands.add_parser("search", help="search a head's settings, nested in the grouped split")
    search.add_argument("--profile", default="sample")
    for factor in ("dataset", "backbone", "head"):
        search.add_argument(f"--{factor}", required=True)
    search.add_argument("--storage", metavar="ADDRESS", help="a database for many workers")
    search.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. search.trials=50"
    )
    search.set_defaults(run=_search)

    track = commands.add_parser("track", help="bring the MLflow server in line with the results")
    track.add_argument("--profile", default="sample")
    track.set_defaults(run=_track)

    promote = commands.add_parser(
        "promote", help="make the models of the committed figures the champions; for the gate, once it passed"
    )
    promote.add_argument("--profile", default="local")
    promote.add_argument(
        "--cells", nargs="+", default=["*"], metavar="PATTERN", help="e.g. 'iqoth-*-grouped'"
    )
    promote.set_defaults(run=_promote)

    audit = commands.add_parser(
        "audit", help="look for leaks in your own images and split; exit code 1 when there is one"
    )
    audit.add_argument("table", type=Path, help="CSV with the columns path,label,subset and, if known, group")
    audit.add_argument("--cosine", type=float, default=0.98, help="near-duplicates are at least this alike")
    audit.add_argument(
        "--look-alikes-are-no-leak", action="store_true", help="for images that all look alike in grey"
    )
    audit.add_argument("--listed", type=int, default=20, help="names of each kind of leak listed at most")
    audit.add_argument("--json", type=Path, metavar="FILE", help="also write the complete result")
    audit.set_defaults(run=_audit)

    drift = commands.add_parser(
        "drift", help="compare this machine's figures with the committed ones, within the stated tolerance"
    )
    drift.add_argument("--revision", default="HEAD")
    drift.set_defaults(run=_drift)

    lock = commands.add_parser(
        "check-lock", help="say which stages dvc.lock no longer belongs to; needs no data"
    )
    lock.set_defaults(run=_check_lock)

    stamp = commands.add_parser("stamp", help="let a profile's report say whether its code has changed since")
    stamp.add_argument("--profile", default="local")
    stamp.set_defaults(run=_stamp)

    readme = commands.add_parser("readme", help="write the committed figures into README.md")
    readme.add_argument("--check", action="store_true", help="only say whether they are there")
    readme.set_defaults(run=_readme)

    gate = commands.add_parser(
        "gate", help="compare the results with a reference's; exit code 1: worse, 2: not comparable"
    )
    gate.add_argument("--reference", required=True, metavar="REVISION|FOLDER")
    gate.add_argument("--profile", help="default: the one in use")
    gate.add_argument("--margin", type=float, help="smaller losses are none (default: params.yaml)")
    gate.add_argument("--cells", nargs="+", default=[], metavar="PATTERN", help="e.g. 'iqoth-*-grouped'")
    gate.add_argument("--json", type=Path, metavar="FILE", help="also write the figures")
    gate.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table")
    gate.set_defaults(run=_gate)

    simulation = commands.add_parser(
        "gate-simulation", help="write the gate's rates of false alarms and of detection into its page"
    )
    simulation.add_argument("--profile", default="local", help="whose gate")
    simulation.add_argument("--reruns", type=int, default=1000, help="equal re-runs of each case")
    simulation.add_argument("--repeats", type=int, default=200, help="re-runs with each planted loss")
    simulation.add_argument("--page", type=Path, default=Path("docs/gate.md"), metavar="FILE")
    simulation.set_defaults(run=_gate_simulation)
    return parser


def main() -> None:
    """Runs the command line."""
    arguments = build_parser().parse_args()
    run_guarded(lambda: arguments.run(arguments))
