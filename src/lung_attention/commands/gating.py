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
