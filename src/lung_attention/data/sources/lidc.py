"""`lidc` rebuilt: the paper's slices of 15 patients, cut from their CT series and windowed to grey.

What the file names mean is inferred in part; the record in the archive, and docs/lidc.md, say what.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lung_attention.data.catalog import DATASETS
from lung_attention.data.manifest import patient_of
from lung_attention.data.sources.bucket import Bucket
from lung_attention.data.sources.collection import CtSeries, series_of_patients
from lung_attention.data.sources.dicom import Stack, png, window
from lung_attention.data.sources.packing import new_archive
from lung_attention.data.sources.rebuild import (
    RECORD_NAME,
    SeriesFolder,
    describe_series,
    encode_record,
)
from lung_attention.data.sources.transfer import tell

_DATASET = DATASETS["lidc"]

_NAME = re.compile(r"(?:\d+-\d{3} \((?P<plain>\d+)\)|1-(?P<short>\d+))\.dcm\.png")


@dataclass(frozen=True)
class ListedSlice:
    """One file of the paper's subset.

    Attributes:
        image: Its path below the top folder, `<part>/<class>/<name>`.
        patient: The patient whose slice it is.
        number: Which slice of the patient's series, from 1.
        named_short: Whether it is called `1-<k>`, which tells the patient only together with the class.
    """

    image: str
    patient: str
    number: int
    named_short: bool


def listed_slices() -> list[ListedSlice]:
    """The paper's 2,066 slices, as the list that ships with the package names them."""
    text = files("lung_attention.data.sources").joinpath("lidc_subset.txt").read_text(encoding="utf-8")
    return [parse_listed(line) for line in text.splitlines() if line and not line.startswith("#")]


def parse_listed(image: str) -> ListedSlice:
    """Reads a line of the list.

    Args:
        image: Such as `train/benign/174-001 (12).dcm.png`.

    Raises:
        UserError: The name does not follow the list's patterns.
    """
    label, name = image.split("/")[1:]
    patient = patient_of("lidc", image, label)
    match = _NAME.fullmatch(name)
    assert match is not None  # `patient_of` refuses other names
    short = match["short"] is not None
    return ListedSlice(image, patient, int(match["short"] if short else match["plain"]), short)


def lidc_series() -> list[CtSeries]:
    """The CT series of the paper's 15 patients, from the installed index."""
    return series_of_patients(sorted({each.patient for each in listed_slices()}))


def lidc_transfer_bytes() -> int:
    """How much `build_lidc_archive` transfers."""
    return sum(series.bytes for series in lidc_series())


def beyond_the_series(listed: Sequence[ListedSlice], counts: dict[str, int]) -> list[ListedSlice]:
    """The listed slices whose number no slice of the patient's series has.

    Args:
        listed: The list.
        counts: Slices of each patient's series.
    """
    return [each for each in listed if not 1 <= each.number <= counts.get(each.patient, 0)]


def build_lidc_archive(to: Path, *, work: Path, level_hu: float, width_hu: float) -> dict[str, Any]:
    """Rebuilds the paper's subset from the public CT series: 2,066 PNG files in train, valid and test.

    Args:
        to: The zip file to write, whole or not at all.
        work: A folder for the series (1.23 GB), which an interrupted run leaves for the next one.
        level_hu: Centre of the window, in HU.
        width_hu: Width of the window, in HU.

    Returns:
        The record that also stands in the archive: what served, and what is doubtful.

    Raises:
        TransferError: The bucket does not deliver.
        UserError: A file is broken, or the installed index lacks a series.
    """
    return cut_slices(
        to,
        listed_slices(),
        lidc_series(),
        work=work,
        level_hu=level_hu,
        width_hu=width_hu,
    )


def cut_slices(
    to: Path,
    listed: Sequence[ListedSlice],
    series: Sequence[CtSeries],
    *,
    work: Path,
    level_hu: float,
    width_hu: float,
) -> dict[str, Any]:
    """Cuts listed slices from one series a patient; see `build_lidc_archive`.

    A number beyond its series is reported and left out, never guessed. One slice is decoded at a time.
    """
    told = []
    total = sum(each.bytes for each in series)
    bucket = Bucket()
    beyond: list[ListedSlice] = []
    with (
        new_archive(to) as add,
        tqdm(total=total, desc="CT series", unit="B", unit_scale=True, mininterval=0.5) as bar,
    ):
        for each in series:
            folder = SeriesFolder(each, work / each.uid, bucket=bucket, advance=bar.update)
            folder.fetch()
            stack = folder.stack()
            own = [item for item in listed if item.patient == each.patient]
            missing = beyond_the_series(own, {each.patient: len(stack.slices)})
            beyond += missing
            wanted: dict[int, list[str]] = {}
            for item in own:
                if item not in missing:
                    wanted.setdefault(item.number, []).append(item.image)
            slices = [numbered_slice(stack, number) for number in sorted(wanted)]
            for number, hu in zip(
                sorted(wanted), folder.hounsfield([stack.slices[index] for index in slices]), strict=True
            ):
                content = png(window(hu, level_hu=level_hu, width_hu=width_hu))
                for image in wanted[number]:
                    add(f"{_DATASET.root}/{image}", content)
            told.append(
                describe_series(each, stack)
                | {"numbered_from": "feet" if stack.numbered > 0 else "head", "images": len(own)}
            )
        record = {
            "collection": "LIDC-IDRI",
            "window": {"level_hu": level_hu, "width_hu": width_hu},
            "series": told,
            "beyond_the_series": [item.image for item in beyond],
            "doubtful": _doubts(listed, told),
        }
        add(f"{_DATASET.root}/{RECORD_NAME}", encode_record(record))
    for item in beyond:
        tell(f"lidc: {item.image} is left out: {item.patient} has no slice {item.number}")
    return record


def numbered_slice(stack: Stack, number: int) -> int:
    """Finds slice k of the paper.

    Slices are counted by position. Instance numbers decide only from which end: the names of the list stem
    from a download that numbered files by them. Where instance numbers neither grow nor fall with the
    position, the count begins at the head, as scanners do by custom.

    Args:
        stack: The series.
        number: k, from 1 to the number of slices.

    Returns:
        Its index in `stack.slices`, which begin at the feet.
    """
    return number - 1 if stack.numbered > 0 else len(stack.slices) - number


def _doubts(listed: Sequence[ListedSlice], series: Sequence[dict[str, Any]]) -> list[str]:
    doubts = [
        "The window and the size of the paper's images are not known: these are whole slices at the "
        "resolution of the scanner, in the window named here.",
        "That file number k is the k-th slice by position, counted from the end where the instance numbers "
        "begin, is inferred; the paper does not say it.",
    ]
    listed_of: dict[str, list[ListedSlice]] = {}
    for item in listed:
        listed_of.setdefault(item.patient, []).append(item)
    counts = {each["patient"]: each["slices"] for each in series}
    for patient, items in sorted(listed_of.items()):
        doubts += _doubts_of_patient(patient, items, counts)
    for each in series:
        if each["missing_slices"]:
            missing = sum(gap["missing"] for gap in each["missing_slices"])
            doubts.append(
                f"{each['patient']}: {missing} slices are missing in the series; numbers beyond a gap may be "
                "meant for a neighbour."
            )
    return doubts


def _doubts_of_patient(patient: str, items: list[ListedSlice], counts: dict[str, int]) -> list[str]:
    doubts = []
    short = sum(item.named_short for item in items)
    if short:
        doubts.append(
            f"{patient}: {short} images called 1-<k> are taken for its slices, because their numbers fit the "
            "number of its slices."
        )
    numbers = [(item.number, item.image.split("/")[1]) for item in items]
    twice = len(numbers) - len(set(numbers))
    if twice:
        doubts.append(f"{patient}: {twice} slices are listed under two names in one class.")
    both = len(set(numbers)) - len({number for number, _ in numbers})
    if both:
        doubts.append(f"{patient}: {both} slices are listed as benign and as malignant.")
    absent = sorted(set(range(1, counts.get(patient, 0) + 1)) - {number for number, _ in numbers})
    if len(absent) == 1:
        alike = [name for name, count in counts.items() if count == counts[patient] and name != patient]
        doubts.append(
            f"{patient}: slice {absent[0]} alone of {counts[patient]} is not listed"
            + (f", and {', '.join(sorted(alike))} has as many slices" if alike else "")
            + "; an image may have been lost or stem from another series."
        )
    return doubts
