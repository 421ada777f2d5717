"""Anyone's table of predictions: its columns found by name, its content as `Predictions`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lung_attention.errors import UserError
from lung_attention.evaluation.predictions import Predictions, predictions_to_arrays

PREFIX = "probability_"


@dataclass(frozen=True)
class Columns:
    """Names of columns. Of several the first that a table has counts, so that two tables may differ.

    Attributes:
        identifier: Names the image, or whatever is classified.
        label: The true class.
        cluster: The patient or other group of the image; empty for `group`, where there is such a column.
        fold: The fold whose model predicted; empty for `fold`, where there is such a column.
        seed: The training's seed, a whole number; empty for `seed`, where there is such a column.
        probabilities: Pairs of a class and the column with its probability; empty for all columns that begin
            with `probability_`.
    """

    identifier: Sequence[str] = ("image",)
    label: Sequence[str] = ("label",)
    cluster: Sequence[str] = ()
    fold: Sequence[str] = ()
    seed: Sequence[str] = ()
    probabilities: Sequence[tuple[str, str]] = ()


def read_pair(old: Path, new: Path, columns: Columns, *, names: tuple[str, str]) -> tuple[Predictions, ...]:
    """Reads two tables of predictions of the same kind.

    Args:
        old: CSV of the reference.
        new: CSV of the candidate.
        columns: Where what stands.
        names: What to call the files in messages.

    Returns:
        Predictions of the reference and of the candidate, their classes in the order of the reference's.

    Raises:
        UserError: A file is no table, lacks a column, holds no probabilities or unusable values, or both have
            different classes.
    """
    tables = [_read(path, name) for path, name in zip((old, new), names, strict=True)]
    found = [_probabilities(table, columns, name) for table, name in zip(tables, names, strict=True)]
    classes = [str(name) for name in found[0].columns]
    if set(found[1]) != set(classes):
        raise UserError(
            f"{names[1]} has probabilities of the classes {list(found[1])}, {names[0]} of {classes}",
            remedy="name each class's columns: --probability CLASS=COLUMN …",
        )
    folds = [_optional(table, columns.fold, "fold", name) for table, name in zip(tables, names, strict=True)]
    # Folds may have any names; equal names are equal folds.
    numbers = {fold: k for k, fold in enumerate(sorted(set(folds[0]) | set(folds[1])))}
    return tuple(
        _predictions(table, columns, probabilities[classes], fold.map(numbers), classes=classes, name=name)
        for table, probabilities, fold, name in zip(tables, found, folds, names, strict=True)
    )


def _read(path: Path, name: str) -> pd.DataFrame:
    try:
        # As text: an identifier 007 is not 7, and a class "NA" is no missing value.
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise UserError(f"{name}: there is no such file", remedy="look at the path") from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"{name}: this is no CSV table ({type(error).__name__}: {error})",
            remedy="give a CSV file with a header and a row an image",
        ) from error


def _probabilities(table: pd.DataFrame, columns: Columns, name: str) -> pd.DataFrame:
    """A column a class. Of two classes one is enough, since the other one is what is missing to 1."""
    if columns.probabilities:
        found: dict[str, str] = {}
        for of_class, column in columns.probabilities:
            if column in table.columns:
                found.setdefault(of_class, column)
    else:
        found = {
            column.removeprefix(PREFIX): column for column in table.columns if column.startswith(PREFIX)
        }  # fmt: skip
    if not found:
        wanted = [column for _, column in columns.probabilities] or [f"{PREFIX}<class>"]
        raise UserError(
            f"{name} holds no probabilities: expected columns {wanted}, received {list(table.columns)}",
            remedy="decisions alone have neither AUROC nor log loss: write the probability of each class "
            "(scikit-learn: predict_proba), and name the columns with --probability CLASS=COLUMN …",
        )
    try:
        values = table[list(found.values())].astype(float)
    except ValueError as error:
        raise UserError(
            f"{name}: columns {list(found.values())} hold what is no number ({error})",
            remedy="write probabilities as numbers in 0..1",
        ) from error
    values.columns = pd.Index(found)
    if len(found) > 1:
        return values
    [given] = found
    others = sorted(set(table[_column(table, columns.label, "--label", name)]) - {given})
    if len(others) != 1:
        raise UserError(
            f"{name}: probabilities of {given!r} alone, and labels of the further classes {others}",
            remedy="name a column for each class: --probability CLASS=COLUMN …",
        )
    return values.assign(**{others[0]: 1 - values[given]})


def _predictions(
    table: pd.DataFrame,
    columns: Columns,
    probabilities: pd.DataFrame,
    folds: pd.Series,
    *,
    classes: Sequence[str],
    name: str,
) -> Predictions:
    seeds = _optional(table, columns.seed, "seed", name)
    if not seeds.str.fullmatch(r"-?\d+").all():
        raise UserError(
            f"{name}: expected whole numbers as seeds, received {sorted(set(seeds))[:5]}",
            remedy="number the trainings, or leave out --seed if there is one",
        )
    arranged = pd.DataFrame(
        {
            "image": table[_column(table, columns.identifier, "--id", name)],
            "label": table[_column(table, columns.label, "--label", name)],
            "group": _optional(table, columns.cluster, "group", name, option="--cluster", default=""),
            "fold": folds,
            "seed": seeds.astype(float),  # how large they may be is looked at with the rest
            "prediction": pd.Series(probabilities.idxmax(axis=1), index=table.index),
        }
    )
    for of_class in classes:
        arranged[f"{PREFIX}{of_class}"] = probabilities[of_class]
    try:
        predictions = predictions_to_arrays(arranged, classes)
    except UserError as error:
        raise UserError(
            f"{name}: {error.problem}", remedy="one row an image and seed; probabilities of a row sum to 1"
        ) from error
    absent = [of_class for k, of_class in enumerate(classes) if not (predictions.labels == k).any()]
    if absent:
        raise UserError(
            f"{name}: no row has the label {absent[0]!r}; labels are {sorted(set(arranged['label']))}",
            remedy="name the classes as the labels are: --probability CLASS=COLUMN …",
        )
    return predictions


def _column(table: pd.DataFrame, wanted: Sequence[str], option: str, name: str) -> str:
    found = next((column for column in wanted if column in table.columns), None)
    if found is None:
        raise UserError(
            f"{name} has none of the columns {list(wanted)}, received {list(table.columns)}",
            remedy=f"name the column: {option} COLUMN",
        )
    return found


def _optional(
    table: pd.DataFrame,
    wanted: Sequence[str],
    usual: str,
    name: str,
    *,
    option: str | None = None,
    default: str = "0",
) -> pd.Series:
    """A column that was named, or the usual one where there is such; else a constant."""
    if wanted:
        return table[_column(table, wanted, option or f"--{usual}", name)]
    return table[usual] if usual in table.columns else pd.Series(default, index=table.index)
