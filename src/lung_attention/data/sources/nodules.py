"""Nodule crops rebuilt: squares around the nodules of LIDC-IDRI on which radiologists agree.

Of a series only what is needed is transferred: the first kilobytes of each file tell where its slice lies,
and of the slices only those that cross a nodule's middle are fetched: about 2 GB instead of 69 GB.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from lung_attention.config import Dataset, Rebuild
from lung_attention.data.sources.annotations import Nodule, read_nodules
from lung_attention.data.sources.collection import CtSeries, series_of_identifiers
from lung_attention.data.sources.dicom import Slice, Stack
from lung_attention.data.sources.rebuild import HEAD_BYTES, Cut, cut_archive

# Two slices of a series are never this close; the annotations' z is rounded to less. In mm.
_SAME_PLANE_MM = 0.25


def choose_nodules(rebuild: Rebuild) -> dict[str, list[Nodule]]:
    """Nodules of `benign` and of `malignant` that are cut out, by median rating."""
    settings = rebuild.nodules
    enough = [nodule for nodule in read_nodules() if len(nodule.ratings) >= settings.min_readers]
    chosen = {
        "benign": [nodule for nodule in enough if nodule.median <= settings.benign_at_most],
        "malignant": [nodule for nodule in enough if nodule.median >= settings.malignant_at_least],
    }
    patients = sorted({nodule.patient for nodules in chosen.values() for nodule in nodules})
    kept = set(patients[: settings.max_patients])
    return {label: [each for each in nodules if each.patient in kept] for label, nodules in chosen.items()}


def series_of_nodules(chosen: dict[str, list[Nodule]]) -> list[CtSeries]:
    """CT series of nodules by patient and identifier, from the installed index."""
    uids = {nodule.series for nodules in chosen.values() for nodule in nodules}
    return sorted(series_of_identifiers(uids), key=lambda each: (each.patient, each.uid))


def nodules_transfer_bytes(chosen: dict[str, list[Nodule]], *, slices: int) -> int:
    """Bytes that `cut_nodules` transfers, about.

    Args:
        chosen: The nodules.
        slices: How many slices a nodule, at most.
    """
    wanted: Counter[str] = Counter()
    for nodule in (each for nodules in chosen.values() for each in nodules):
        wanted[nodule.series] += min(slices, len(nodule.planes_mm))
    return sum(
        series.instances * HEAD_BYTES + wanted[series.uid] * (series.bytes // series.instances)
        for series in series_of_identifiers(wanted)
    )


def cut_nodules(
    to: Path,
    dataset: Dataset,
    chosen: dict[str, list[Nodule]],
    series: Sequence[CtSeries],
    *,
    work: Path,
    rebuild: Rebuild,
) -> dict[str, Any]:
    """Cuts nodules out of CT series: PNG files of the slices nearest to their centres.

    A nodule's plane at which the series has no slice is reported and left out.

    Args:
        to: The zip file to write, whole or not at all.
        dataset: What the archive is of.
        chosen: The nodules of each class.
        series: Their series.
        work: A folder for the slices, which an interrupted run leaves for the next one.
        rebuild: The square around a nodule's centre, and the grey window.

    Returns:
        The record that also stands in the archive.

    Raises:
        TransferError: The bucket does not deliver.
        UserError: A file is broken.
    """
    settings = rebuild.nodules

    def plan(each: CtSeries, stack: Stack) -> tuple[list[Cut], list[str]]:
        cuts, lost = [], []
        for label, nodule in ((label, nodule) for label, nodules in chosen.items() for nodule in nodules):
            if nodule.series != each.uid:
                continue
            for index, z_mm in enumerate(central_planes(nodule, settings.slices)):
                name = f"{label}/{nodule.patient}_nodule-{nodule.number}_slice-{index}.png"
                place = slice_at(stack, z_mm)
                if place is None:
                    lost.append(f"{name}: the series has no slice at z = {z_mm:g} mm")
                    continue
                square = partial(
                    cut_square,
                    centre=(nodule.row, nodule.column),
                    spacing_mm=place.spacing_mm,
                    size_mm=settings.size_mm,
                    size_px=settings.size_px,
                    outside_hu=rebuild.level_hu - rebuild.width_hu / 2,
                )
                cuts.append(Cut(name, place, square))
        return cuts, lost

    about = {
        "crop": {"size_mm": settings.size_mm, "size_px": settings.size_px, "slices": settings.slices},
        "nodules": {label: len(nodules) for label, nodules in chosen.items()},
        "doubtful": ["The labels are radiologists' opinions, not pathology."],
    }
    return cut_archive(to, dataset, series, plan, work=work, rebuild=rebuild, about=about)


def central_planes(nodule: Nodule, count: int) -> list[float]:
    """Heights (z in mm) of the nodule's slices nearest to its centre, ascending; all if there are fewer."""
    nearest = sorted(nodule.planes_mm, key=lambda z_mm: (abs(z_mm - nodule.z_mm), z_mm))
    return sorted(nearest[:count])


def slice_at(stack: Stack, z_mm: float) -> Slice | None:
    """Slice at a place on the patient's z axis; None if there is none."""
    nearest = min(stack.slices, key=lambda each: abs(each.position_mm[2] - z_mm))
    return nearest if abs(nearest.position_mm[2] - z_mm) <= _SAME_PLANE_MM else None


def cut_square(
    hu: npt.NDArray[np.float64],
    *,
    centre: tuple[float, float],
    spacing_mm: tuple[float, float],
    size_mm: float,
    size_px: int,
    outside_hu: float,
) -> npt.NDArray[np.float64]:
    """Square out of a slice, resampled linearly.

    Args:
        hu: (rows, columns) in HU.
        centre: Row and column of the square's centre, in pixels from the centre of the first pixel.
        spacing_mm: Distance between the centres of neighbouring rows, and of neighbouring columns.
        size_mm: Edge of the square.
        size_px: Edge of the result.
        outside_hu: What lies outside the slice.

    Returns:
        (size_px, size_px) in HU.
    """
    offsets_mm = ((np.arange(size_px) + 0.5) / size_px - 0.5) * size_mm
    rows, columns = np.meshgrid(
        centre[0] + offsets_mm / spacing_mm[0], centre[1] + offsets_mm / spacing_mm[1], indexing="ij"
    )
    patch: npt.NDArray[np.float64] = map_coordinates(
        hu, [rows, columns], order=1, mode="constant", cval=outside_hu
    )
    return patch
