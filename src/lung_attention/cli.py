"""The command `lung-attention`."""

from __future__ import annotations

import argparse
from pathlib import Path

from lung_attention.errors import run_guarded


def _make_sample(arguments: argparse.Namespace) -> int:
    from lung_attention.data.sample import make_sample

    for name, digest in make_sample(arguments.to, seed=arguments.seed).items():
        print(f"{digest}  {arguments.to / name}")
    return 0


def _repro(arguments: argparse.Namespace) -> int:
    from lung_attention.isolated import reproduce

    reproduce(arguments.profile, arguments.set)
    return 0


def _track(arguments: argparse.Namespace) -> int:
    from lung_attention.cells import Paths
    from lung_attention.tracking.cells import cells_with_results, publish_cell

    paths = Paths(arguments.profile)
    cells = cells_with_results(paths)
    for cell in cells:
        print(f"{cell.name}: run {publish_cell(cell, paths, root=Path.cwd())}")
    print(f"{len(cells)} cells of profile {arguments.profile} are in line with {paths.results}/")
    return 0


def _audit(arguments: argparse.Namespace) -> int:
    from lung_attention.audit.own_split import run_audit_command

    return run_audit_command(arguments)


def build_parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    parser = argparse.ArgumentParser(prog="lung-attention", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    sample = commands.add_parser("make-sample", help="draw the embedded synthetic archives anew")
    sample.add_argument("--to", type=Path, default=Path("sample"), metavar="FOLDER")
    sample.add_argument("--seed", type=int, default=20260101)
    sample.set_defaults(run=_make_sample)

    repro = commands.add_parser("repro", help="regenerate a profile's results beside the default ones")
    repro.add_argument("--profile", required=True)
    repro.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. 'splits=[published]'"
    )
    repro.set_defaults(run=_repro)

    track = commands.add_parser("track", help="bring the MLflow server in line with the results")
    track.add_argument("--profile", default="sample")
    track.set_defaults(run=_track)
    return parser


def main() -> None:
    """Runs the command line."""
    arguments = build_parser().parse_args()
    run_guarded(lambda: arguments.run(arguments))
