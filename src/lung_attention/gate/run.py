"""The gate itself: reads both sides of every cell, compares, and says what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from lung_attention.cells import FACTORS, PUBLISHED, Cell
from lung_attention.errors import UserError
from lung_attention.evaluation.predictions import Predictions, predictions_to_arrays
from lung_attention.evaluation.verdicts import BELOW
from lung_attention.files import read_json, read_table
from lung_attention.gate.chance import Luck, seed_spread
from lung_attention.gate.declared import BELOW_PUBLISHED, MISSING, WORSE, Declared, reason_for
from lung_attention.gate.floors import degenerate_parts, floor_breaches
from lung_attention.gate.pairing import Pair, differences, paired
from lung_attention.gate.rules import CellResult, Judged, Rule, Verdict, compare_pairs
from lung_attention.gate.scores import mean_scores
from lung_attention.paths import Paths


@dataclass(frozen=True)
class Limits:
    """What a cell is held to.

    Attributes:
        rule: When a difference is a regression.
        labels: Class names in label order, by dataset.
        luck: For each dataset how far one training is luckier than another (see `chance.Luck`).
        floors: For each dataset and split the balanced accuracy to exceed.
        declared: Wanted changes that still count.
    """

    rule: Rule
    labels: Mapping[str, Sequence[str]]
    luck: Mapping[str, Luck]
    floors: Mapping[str, Mapping[str, float]]
    declared: Sequence[Declared]


def cells_with_predictions(paths: Paths, root: Path) -> list[Cell]:
    """The cells whose predictions lie below a root, by name."""
    found = (root / paths.results / "cells").glob("*/predictions.csv")
    names = [path.parent.name.split("-") for path in sorted(found)]
    return [Cell(*parts) for parts in names if len(parts) == len(FACTORS)]


def select(cells: Sequence[Cell], patterns: Sequence[str]) -> list[Cell]:
    """The cells that match any of the patterns; all, where there is no pattern.

    Raises:
        UserError: A pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(cell.name, pattern) for cell in cells):
            raise UserError(
                f"--cells {pattern}: no such cell on either side",
                remedy="a name, or a pattern such as 'iqoth-*-grouped'; quote it",
            )
    return [
        cell for cell in cells if not patterns or any(fnmatchcase(cell.name, pattern) for pattern in patterns)
    ]


def judge_cells(
    ours: Sequence[Cell],
    theirs: Sequence[Cell],
    *,
    paths: Paths,
    candidate: Path,
    reference: Path,
    limits: Limits,
) -> Judged:
    """Judges every cell of either side.

    Args:
        ours: The candidate's cells.
        theirs: The reference's cells.
        paths: The profile's file names.
        candidate: Root of the candidate's files.
        reference: Root of the reference's files.
        limits: What cells are held to.

    Returns:
        A result a cell, sorted by the cell, and the verdict on all together.

    Raises:
        UserError: Predictions cannot be read, or a class has no test image.
    """
    results: dict[str, CellResult] = {}
    read: dict[Cell, Predictions] = {}
    pairs: dict[Cell, Pair] = {}
    notes: dict[str, list[str]] = {}
    for cell in sorted({*ours, *theirs}):
        path = candidate / paths.predictions(cell)
        if cell not in ours or not path.exists():
            results[cell.name] = _excused(cell, MISSING, "only the reference has this cell", limits.declared)
            continue
        read[cell] = read_predictions(path, cell, limits.labels, side="candidate")
        if cell not in theirs:
            results[cell.name] = CellResult(cell.name, Verdict.NEW)
            continue
        before = read_predictions(reference / paths.predictions(cell), cell, limits.labels, side="reference")
        found = differences(read[cell], before)
        if found:
            excused = [_excused(cell, item.change, item.text, limits.declared) for item in found]
            # One change that is not declared is enough.
            worst = max(excused, key=lambda result: result.verdict is Verdict.NOT_COMPARABLE)
            results[cell.name] = replace(worst, notes=[note for result in excused for note in result.notes])
            continue
        pairs[cell] = paired(read[cell], before)
        notes[cell.name] = seed_notes(read[cell], before, pairs[cell])
    judged = compare_pairs(
        {cell.name: pair for cell, pair in pairs.items()},
        # The candidate's seeds do not count: a change that makes trainings erratic must not excuse itself.
        {
            cell.name: limits.luck[cell.dataset].at_least(seed_spread(pair.reference))
            for cell, pair in pairs.items()
        },
        limits.rule,
        datasets={cell.name: cell.dataset for cell in pairs},
        wanted=[cell.name for cell in pairs if reason_for(cell.name, WORSE, limits.declared)],
    )
    for name, result in judged.cells.items():
        results[name] = _accept_worse(replace(result, notes=notes[name]), limits.declared)
    published = _lost_reproductions(paths, candidate, reference)
    for cell, predictions in read.items():
        floors = limits.floors[cell.dataset]
        if cell.split not in floors:
            raise UserError(
                f"candidate, cell {cell.name}: expected one of the splits {', '.join(floors)}, received "
                f"{cell.split!r}",
                remedy=f"remove {candidate / paths.predictions(cell).parent}, which is no cell's",
            )
        floor = floors[cell.split]
        result = with_floors(results[cell.name], predictions, pairs.get(cell), floor=floor)
        if cell.name in published:
            result = _below_paper(result, reason_for(cell.name, BELOW_PUBLISHED, limits.declared))
        results[cell.name] = result
    return Judged({cell.name: results[cell.name] for cell in sorted({*ours, *theirs})}, judged.pooled)


def with_floors(
    result: CellResult, candidate: Predictions, pair: Pair | None, *, floor: float
) -> CellResult:  # fmt: skip
    """Adds what is too low whatever the scores' differences say (see `floors`).

    Args:
        result: What else was found.
        candidate: All seeds of the candidate.
        pair: With the reference, where they can be compared.
        floor: The balanced accuracy to exceed.
    """
    breaches = floor_breaches(mean_scores(candidate), floor=floor)
    if pair is None:
        parts = degenerate_parts(candidate, None, floor=floor)
    else:
        parts = degenerate_parts(pair.candidate, pair.reference, floor=floor)
    result = replace(result, notes=[*result.notes, *parts.notes])
    return _below_floor(result, [*breaches, *parts.breaches])


def read_predictions(
    path: Path, cell: Cell, labels: Mapping[str, Sequence[str]], *, side: str
) -> Predictions:
    """Reads and validates the predictions of one side.

    Raises:
        UserError: They are missing, are no table, have another schema, or a class has no test image.
    """
    if side == "reference":
        remedy = "name a newer --reference, whose predictions this version can read"
    else:
        remedy = "make the predictions anew with: dvc repro"
    if cell.dataset not in labels:
        raise UserError(
            f"{side}, cell {cell.name}: no file describes the dataset",
            remedy=f"add it to datasets/, or remove {path.parent}, if it is no cell's",
        )
    classes = labels[cell.dataset]
    try:
        predictions = predictions_to_arrays(read_table(path), classes)
    except UserError as error:
        raise UserError(f"{side}, cell {cell.name}: {error.problem}", remedy=remedy) from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"{side}, cell {cell.name}: these are no predictions ({error})", remedy=remedy
        ) from error
    present = set(predictions.labels.tolist())
    absent = [name for number, name in enumerate(classes) if number not in present]
    if absent:
        raise UserError(f"{side}, cell {cell.name}: no test image of the classes {absent}", remedy=remedy)
    return predictions


def _excused(cell: Cell, change: str, text: str, declared: Sequence[Declared]) -> CellResult:
    reason = reason_for(cell.name, change, declared)
    if reason is None:
        return CellResult(cell.name, Verdict.NOT_COMPARABLE, [f"{change}: {text}"])
    return CellResult(cell.name, Verdict.DECLARED, [f"{change}: {text}; declared: {reason}"])


def _accept_worse(result: CellResult, declared: Sequence[Declared]) -> CellResult:
    reason = reason_for(result.cell, WORSE, declared)
    if result.verdict is not Verdict.REGRESSION or reason is None:
        return result
    note = f"a regression; declared: {reason}"
    return replace(result, verdict=Verdict.DECLARED, notes=[*result.notes, note])


def _below_floor(result: CellResult, breaches: list[str]) -> CellResult:
    """A breach joins what else was found; a regression stays one, and fails alike."""
    if not breaches:
        return result
    verdict = result.verdict if result.verdict is Verdict.REGRESSION else Verdict.BELOW_FLOOR
    return replace(result, verdict=verdict, notes=[*result.notes, *breaches])


def _below_paper(result: CellResult, reason: str | None) -> CellResult:
    text = "accuracy is below the published one, beyond sampling error"
    if reason is None:
        return _below_floor(result, [text])
    return replace(result, notes=[*result.notes, f"{text}; declared: {reason}"])


def seed_notes(ours: Predictions, theirs: Predictions, pair: Pair) -> list[str]:
    """Which seed was compared with which, where that is not plain."""
    if ours.seeds == theirs.seeds:
        return []
    pairs = zip(pair.candidate.seeds, pair.reference.seeds, strict=True)
    text = ", ".join(f"{mine} with {other}" for mine, other in pairs)
    return [f"seeds {list(theirs.seeds)} became {list(ours.seeds)}: compared {text}"]


def _lost_reproductions(paths: Paths, candidate: Path, reference: Path) -> set[str]:
    """Cells below their published accuracy that were not so before."""
    return _below_published(paths, candidate) - _below_published(paths, reference)


def _below_published(paths: Paths, root: Path) -> set[str]:
    """Cells with the verdict that their accuracy is below the published one; of stand-ins there is none."""
    path = root / paths.comparisons
    if not path.exists():
        return set()
    try:
        return {
            Cell(entry["dataset"], entry["backbone"], entry["head"], PUBLISHED, "published").name
            for entry in read_json(path)["reproduction"]
            if entry["verdict"] == BELOW
        }
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: these are no comparisons ({type(error).__name__}: {error})",
            remedy="dvc repro, or name a newer --reference",
        ) from error
