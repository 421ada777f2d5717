"""The command that compares results with a reference."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.errors import UserError
from lung_attention.files import write_json, write_text
from lung_attention.paths import Paths

if TYPE_CHECKING:
    from lung_attention.gate.outcome import Outcome


def add_gate(added: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds its grammar to the command line's."""
    parser = added.add_parser(
        "gate",
        help="compare results with a reference's, or two tables of anyone's predictions; exit code 1: worse, "
        "2: not comparable",
    )
    parser.add_argument(
        "tables",
        nargs="*",
        metavar="OLD NEW",
        help="CSV files of anyone's, or mlflow-run:ID, and options below",
    )
    parser.add_argument("--reference", metavar="REVISION|FOLDER", help="of this project's own results")
    parser.add_argument("--profile", help="default: the one in use")
    parser.add_argument(
        "--margin", nargs="+", default=[], metavar="SCORE=LOSS", help="smaller losses are none, e.g. mcc=0.03"
    )
    parser.add_argument("--cells", nargs="+", default=[], metavar="PATTERN", help="e.g. 'iqoth-*-grouped'")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the table")
    parser.add_argument("--strict", action="store_true", help="what is inconclusive or stale fails, too")
    parser.add_argument(
        "--promote",
        action="store_true",
        help="once it passes, make the models of these cells MLflow's champions",
    )
    own = parser.add_argument_group(
        "OLD NEW", "of several names of a column the first counts that a table has"
    )
    own.add_argument("--id", nargs="+", default=["image"], metavar="COLUMN", help="names the image")
    own.add_argument("--label", nargs="+", default=["label"], metavar="COLUMN", help="the true class")
    own.add_argument(
        "--cluster", nargs="+", default=[], metavar="COLUMN", help="patient or group (group, if it is there)"
    )
    own.add_argument("--fold", nargs="+", default=[], metavar="COLUMN", help="(fold, if it is there)")
    own.add_argument("--seed", nargs="+", default=[], metavar="COLUMN", help="(seed, if it is there)")
    own.add_argument(
        "--probability",
        nargs="+",
        default=[],
        metavar="CLASS=COLUMN",
        help="default: columns probability_<class>; of two classes one is enough",
    )
    own.add_argument("--floor", type=float, help="balanced accuracy to exceed (default: 1 / classes)")
    own.add_argument(
        "--training-sd", type=float, metavar="SD", help="one training's luck in balanced accuracy (0.01)"
    )
    own.add_argument("--log-loss-sd", type=float, metavar="SD", help="and in log loss (0.1)")
    parser.set_defaults(run=gate)


def gate(arguments: argparse.Namespace) -> int:
    """Compares the results with a reference, or two tables of anyone's predictions."""
    from lung_attention.gate.markdown import refused_markdown, to_markdown
    from lung_attention.gate.outcome import refused_json, to_json

    try:
        outcome = _gate_outcome(arguments)
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
    if arguments.promote and outcome.is_stale:
        print("no model was promoted: the results are stale")
    elif arguments.promote and outcome.exit_code == 0:
        _promote(outcome.subject, [result.cell for result in outcome.results])
    return outcome.exit_code


def _gate_outcome(arguments: argparse.Namespace) -> Outcome:
    from lung_attention.gate.chance import Luck
    from lung_attention.gate.command import run_gate_command
    from lung_attention.gate.own import LUCK, OwnOptions, run_own_gate
    from lung_attention.gate.tables import Columns

    if not arguments.tables:
        if arguments.reference is None:
            raise UserError(
                "neither --reference nor two tables were given",
                remedy="lung-attention gate --reference main, or lung-attention gate OLD.csv NEW.csv",
            )
        return run_gate_command(
            arguments.reference,
            profile=arguments.profile,
            margins=arguments.margin,
            cells=arguments.cells,
            strict=arguments.strict,
        )
    ours = {"--reference": arguments.reference, "--profile": arguments.profile, "--cells": arguments.cells}
    refused = [option for option, value in (ours | {"--promote": arguments.promote}).items() if value]
    if len(arguments.tables) != 2 or refused:
        raise UserError(
            f"expected two tables and none of {[*ours, '--promote']}, "
            f"received {arguments.tables} and {refused}",
            remedy="lung-attention gate OLD.csv NEW.csv --id image --label label",
        )
    pairs = [text.partition("=") for text in arguments.probability]
    if wrong := [f"{name}{equals}{column}" for name, equals, column in pairs if not (name and column)]:
        raise UserError(
            f"--probability: expected CLASS=COLUMN, received {wrong[0]!r}",
            remedy="--probability benign=p_benign malignant=p_malignant",
        )
    columns = Columns(
        identifier=arguments.id,
        label=arguments.label,
        cluster=arguments.cluster,
        fold=arguments.fold,
        seed=arguments.seed,
        probabilities=[(name, column) for name, _, column in pairs],
    )
    sd, log_loss_sd = arguments.training_sd, arguments.log_loss_sd
    luck = Luck(
        LUCK.balanced_accuracy if sd is None else sd, LUCK.log_loss if log_loss_sd is None else log_loss_sd
    )
    options = OwnOptions(columns, arguments.margin, arguments.floor, luck)
    return replace(run_own_gate(arguments.tables[0], arguments.tables[1], options), strict=arguments.strict)


def _promote(profile: str, cells: Sequence[str]) -> None:
    from lung_attention.tracking.cells import cells_with_results, promote

    paths = Paths(profile)
    versions = promote(cells_with_results(paths, cells), paths, root=Path.cwd())
    for name, version in versions.items():
        print(f"models:/{name}@champion is version {version}")
    if not versions:
        print(f"profile {profile} is made of stand-ins: none of its models is registered")
