"""`lidc_nodules` rebuilt: crops around the nodules of LIDC-IDRI on which radiologists agree.

Of a series only what is needed is transferred: the first kilobytes of each file tell where its slice lies,
and of the slices only those that cross a nodule's middle are fetched: about 2 GB instead of 69 GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates
from tqdm import tqdm

from lung_attention.data.catalog import DATASETS
from lung_attention.data.sources.annotations import Nodule, rated_nodules, read_nodules
from lung_attention.data.sources.bucket import Bucket
from lung_attention.data.sources.collection import CtSeries, series_of_identifiers
from lung_attention.data.sources.dicom import Slice, Stack, png, window
from lung_attention.data.sources.packing import new_archive
from lung_attention.data.sources.rebuild import (
    HEAD_BYTES,
    RECORD_NAME,
    SeriesFolder,
    describe_series,
    encode_record,
)
from lung_attention.data.sources.transfer import tell

_DATASET = DATASETS["lidc_nodules"]

# Two slices of a series are never this close; the annotations' z is rounded to less. In mm.
_SAME_PLANE_MM = 0.25


@dataclass(frozen=True)
class Choice:
    """Which nodules are cut out.

    Attributes:
        min_readers: How many of the four readers must have outlined a nodule.
        benign_at_most: Up to this median rating a nodule counts as benign.
        malignant_at_least: From this median rating on it counts as malignant.
        max_patients: Only the first patients; None for all.
    """

    min_readers: int
    benign_at_most: float
    malignant_at_least: float
    max_patients: int | None


@dataclass(frozen=True)
class Crop:
    """How a nodule is cut out.

    Attributes:
        size_mm: Edge of the square around the nodule's centre, in mm.
        size_px: Edge of the image, in pixels.
        slices: How many slices at most, those nearest to the nodule's centre.
        level_hu: Centre of the grey window, in HU.
        width_hu: Its width, in HU.
    """

    size_mm: float
    size_px: int
    slices: int
    level_hu: float
    width_hu: float


def choose_nodules(choice: Choice) -> dict[str, list[Nodule]]:
    """Chosen nodules of `benign` and of `malignant`, from the annotations that ship with the package."""
    chosen = rated_nodules(
        read_nodules(),
        min_readers=choice.min_readers,
        benign_at_most=choice.benign_at_most,
        malignant_at_least=choice.malignant_at_least,
    )
    patients = sorted({nodule.patient for nodules in chosen.values() for nodule in nodules})
    kept = set(patients[: choice.max_patients])
    return {
        label: [nodule for nodule in nodules if nodule.patient in kept] for label, nodules in chosen.items()
    }


def nodules_transfer_bytes(chosen: dict[str, list[Nodule]], *, slices: int) -> int:
    """About how much `build_nodules_archive` transfers.

    Args:
        chosen: The nodules.
        slices: How many slices a nodule, at most.
    """
    nodules_of: dict[str, int] = {}
    for nodule in (each for nodules in chosen.values() for each in nodules):
        nodules_of[nodule.series] = nodules_of.get(nodule.series, 0) + min(slices, len(nodule.planes_mm))
    total = 0
    for series in series_of_identifiers(nodules_of):
        slice_bytes = series.bytes // series.instances
        total += series.instances * HEAD_BYTES + nodules_of[series.uid] * slice_bytes
    return total


def build_nodules_archive(to: Path, *, work: Path, choice: Choice, crop: Crop) -> dict[str, Any]:
    """Cuts the chosen nodules out of the public CT series.

    Args:
        to: The zip file to write, whole or not at all.
        work: A folder for the slices, which an interrupted run leaves for the next one.
        choice: Which nodules.
        crop: How they are cut out.

    Returns:
        The record that also stands in the archive: what served, and what is doubtful.

    Raises:
        TransferError: The bucket does not deliver.
        UserError: A file is broken, or the installed index or annotations lack something.
    """
    chosen = choose_nodules(choice)
    uids = sorted({nodule.series for nodules in chosen.values() for nodule in nodules})
    return cut_nodules(
        to,
        chosen,
        sorted(series_of_identifiers(uids), key=lambda each: (each.patient, each.uid)),
        work=work,
        crop=crop,
    )


def cut_nodules(
    to: Path,
    chosen: dict[str, list[Nodule]],
    series: Sequence[CtSeries],
    *,
    work: Path,
    crop: Crop,
) -> dict[str, Any]:
    """Cuts nodules out of given series; see `build_nodules_archive`.

    A nodule's plane at which the series has no slice is reported and left out. One series is open at a time,
    and of it one slice is decoded.
    """
    told = []
    lost: list[str] = []
    total = sum(each.instances * HEAD_BYTES for each in series)
    bucket = Bucket()
    with (
        new_archive(to) as add,
        tqdm(total=total, desc="CT slices", unit="B", unit_scale=True, mininterval=0.5) as bar,
    ):
        for each in series:
            folder = SeriesFolder(each, work / each.uid, bucket=bucket, advance=bar.update)
            stack = folder.stack()
            names, planes, centres = [], [], []
            for label, nodules in chosen.items():
                for nodule in nodules:
                    if nodule.series != each.uid:
                        continue
                    for index, z_mm in enumerate(central_planes(nodule, crop.slices)):
                        name = f"{label}/{nodule.patient}_nodule-{nodule.number}_slice-{index}.png"
                        place = slice_at(stack, z_mm)
                        if place is None:
                            lost.append(f"{name}: the series has no slice at z = {z_mm:g} mm")
                            continue
                        names.append(name)
                        planes.append(place)
                        centres.append((nodule.row, nodule.column))
            for name, place, centre, hu in zip(
                names, planes, centres, folder.hounsfield(planes), strict=True
            ):
                patch = cut_square(
                    hu,
                    centre=centre,
                    spacing_mm=place.spacing_mm,
                    size_mm=crop.size_mm,
                    size_px=crop.size_px,
                    outside_hu=crop.level_hu - crop.width_hu / 2,
                )
                add(
                    f"{_DATASET.root}/{name}",
                    png(window(patch, level_hu=crop.level_hu, width_hu=crop.width_hu)),
                )
            told.append(describe_series(each, stack) | {"images": len(names)})
        record = {
            "collection": "LIDC-IDRI",
            "window": {"level_hu": crop.level_hu, "width_hu": crop.width_hu},
            "crop": {"size_mm": crop.size_mm, "size_px": crop.size_px, "slices": crop.slices},
            "nodules": {label: len(nodules) for label, nodules in chosen.items()},
            "series": told,
            "planes_without_slice": lost,
            "doubtful": ["The labels are radiologists' opinions, not pathology."],
        }
        add(f"{_DATASET.root}/{RECORD_NAME}", encode_record(record))
    for problem in lost:
        tell(f"lidc_nodules: {problem}; left out")
    return record


def central_planes(nodule: Nodule, count: int) -> list[float]:
    """Heights (z in mm) of the nodule's slices nearest to its centre, ascending; all if there are fewer."""
    nearest = sorted(nodule.planes_mm, key=lambda z_mm: (abs(z_mm - nodule.z_mm), z_mm))
    return sorted(nearest[:count])


def slice_at(stack: Stack, z_mm: float) -> Slice | None:
    """The slice at a place on the patient's z axis; None if there is none."""
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
    """Cuts a square out of a slice and resamples it linearly.

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
