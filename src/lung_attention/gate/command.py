"""The command `lung-attention gate`: from its options and params.yaml to an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.cells import Cell
from lung_attention.config import Config, Gating, TrainingSd, load_config
from lung_attention.errors import UserError
from lung_attention.gate.chance import Chance, Luck
from lung_attention.gate.changes import changes
from lung_attention.gate.declared import Declared, split_spent
from lung_attention.gate.outcome import Outcome
from lung_attention.gate.reference import open_reference
from lung_attention.gate.rules import Rule
from lung_attention.gate.run import Limits, cells_with_predictions, judge_cells, select
from lung_attention.gate.scores import with_margins
from lung_attention.paths import PARAMS, Paths

if TYPE_CHECKING:
    from lung_attention.workflow.stale import Staleness


def run_gate_command(
    reference: str,
    *,
    profile: str | None,
    margins: Sequence[str],
    cells: Sequence[str],
    strict: bool = False,
) -> Outcome:
    """Compares the work tree of the current folder with a reference.

    Args:
        reference: A git revision, or the root folder of another checkout.
        profile: Whose results; None means the one in use.
        margins: In place of those in params.yaml, such as `mcc=0.03`.
        cells: Patterns of cells' names; none means all.
        strict: Whether what is inconclusive, or stale, fails.

    Returns:
        What was found.

    Raises:
        UserError: The options, the reference or any predictions are unusable.
    """
    config = load_config(PARAMS)
    name = config.profile if profile is None else profile
    if name not in config.profiles:
        raise UserError(
            f"--profile: expected one of {sorted(config.profiles)}, received {name!r}",
            remedy="--profile sample",
        )
    ours_of, paths = config.profiles[name], Paths(name)
    settings = ours_of.gate
    rule = rule_of(settings, margins)
    declared = [Declared(tuple(entry.cells), entry.change, entry.reason) for entry in settings.declared]
    with open_reference(reference, paths) as before:
        fresh, spent = split_spent(declared, before.root / PARAMS, name)
        limits = Limits(
            rule,
            config.labels,
            {dataset.id: luck_of(ours_of.training_sd(dataset)) for dataset in config.catalog.values()},
            {dataset.id: dataset.floors.model_dump() for dataset in config.catalog.values()},
            fresh,
        )
        ours, theirs = _candidate_cells(config, paths), cells_with_predictions(paths, before.root)
        if not theirs:  # otherwise every cell would be a new one, and pass
            raise UserError(
                f"the reference {reference} names the cells of {paths.results.as_posix()}/cells by other "
                "factors than this version",
                remedy="name a newer --reference",
            )
        chosen = set(select(sorted({*ours, *theirs}), cells))
        judged = judge_cells(
            [cell for cell in ours if cell in chosen],
            [cell for cell in theirs if cell in chosen],
            paths=paths,
            candidate=Path(),
            reference=before.root,
            limits=limits,
        )
        return Outcome(
            name,
            before.name,
            before.commit,
            rule,
            list(judged.cells.values()),
            judged.pooled,
            spent,
            changes(paths, before.root, before.commit),
            strict,
            *_stale(paths, ours, in_use=name == config.profile),
        )


def rule_of(settings: Gating, margins: Sequence[str] = ()) -> Rule:
    """The rule that parameters state, with other margins where given.

    Raises:
        UserError: A margin is none (see `with_margins`).
    """
    return Rule(
        with_margins(settings.margins.model_dump(), margins),
        settings.pooled_error,
        Chance(settings.resamples, settings.confidence, settings.power, settings.seed),
    )


def luck_of(settings: TrainingSd) -> Luck:
    """What parameters take for one training's luck."""
    return Luck(settings.balanced_accuracy, settings.log_loss)


def _stale(paths: Paths, cells: Sequence[Cell], *, in_use: bool) -> tuple[Staleness | None, str]:
    """Which stages of the candidate's results are stale; else why that was not asked."""
    try:
        from lung_attention.workflow.stale import staleness
    except ModuleNotFoundError as error:  # locks are read with what comes with the extra train
        return None, f"{error.name} is not installed"
    found = staleness(paths, cells, Path(), in_use=in_use, of_predictions=True)
    return found, "" if found else f"no dvc.lock of {paths.results.as_posix()}, or no code, is here"


def _candidate_cells(config: Config, paths: Paths) -> list[Cell]:
    """The cells with predictions; of the profile in use only those of the design.

    Predictions that an earlier design left behind are nobody's result any more.
    """
    cells = cells_with_predictions(paths, Path())
    if not cells:
        raise UserError(
            f"{paths.results.as_posix()}/cells holds no predictions",
            remedy=f"make repro PROFILE={paths.profile}, or name a --profile with results",
        )
    if paths.profile != config.profile:
        return cells
    designed = set(config.cells())
    return [cell for cell in cells if cell in designed]
