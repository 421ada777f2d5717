"""The paper's slices of 15 patients rebuilt: cut from their CT series and windowed to grey.

What the file names mean is inferred in part; the record in the archive, and docs/lidc.md, say what.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from lung_attention.config import Dataset, Rebuild
from lung_attention.data.manifest import patient_of
from lung_attention.data.sources.collection import CtSeries, series_of_patients
from lung_attention.data.sources.dicom import Slice, Stack
from lung_attention.data.sources.rebuild import Cut, cut_archive

_NAME = re.compile(r"(?:\d+-\d{3} \((?P<plain>\d+)\)|1-(?P<short>\d+))\.dcm\.png")

# Of the list, which does not change. What is odd about the series stands in the record of each.
_DOUBTS = (
    "The window and the size of the paper's images are not known: these are whole slices at the resolution "
    "of the scanner, in the window named here.",
    "That file number k is the k-th slice by position, counted from the end where the instance numbers "
    "begin, is inferred; the paper does not say it. Beyond a gap in a series, k may mean a neighbour.",
    "LIDC-IDRI-0001 and LIDC-IDRI-0100: images called 1-<k> are taken for their slices, because their "
    "numbers fit the number of their slices. Most slices of LIDC-IDRI-0100 are listed under two names.",
    "LIDC-IDRI-0011: slice 61 alone of 128 is not listed, and LIDC-IDRI-0012 has as many slices; an image "
    "may have been lost or stem from another series.",
    "LIDC-IDRI-0174: 70 slices, and LIDC-IDRI-0205: 30 slices, are listed as benign and as malignant.",
)


@dataclass(frozen=True)
class ListedSlice:
    """One file of the paper's subset.

    Attributes:
        image: Its path below the top folder, `<part>/<class>/<name>`.
        patient: The patient whose slice it is.
        number: Which slice of the patient's series, from 1.
    """

    image: str
    patient: str
    number: int


def listed_slices(dataset: Dataset) -> list[ListedSlice]:
    """The paper's 2,066 slices, as the list that ships with the package names them.

    Args:
        dataset: Whose rules tell the patient by a slice's name.
    """
    text = files("lung_attention.data.sources").joinpath("lidc_subset.txt").read_text(encoding="utf-8")
    return [parse_listed(line, dataset) for line in text.splitlines() if line and not line.startswith("#")]


def parse_listed(image: str, dataset: Dataset) -> ListedSlice:
    """Slice that a line of the list means.

    Args:
        image: Such as `train/benign/174-001 (12).dcm.png`.
        dataset: Whose rules tell the patient.

    Raises:
        UserError: The name does not follow the list's patterns.
    """
    patient = patient_of(dataset, image)
    match = _NAME.fullmatch(image.rsplit("/", 1)[-1])
    assert match is not None  # `patient_of` refuses other names
    return ListedSlice(image, patient, int(match["short"] or match["plain"]))


def series_of_slices(listed: Sequence[ListedSlice]) -> list[CtSeries]:
    """CT series of the patients of slices, from the installed index."""
    return series_of_patients(sorted({each.patient for each in listed}))


def cut_lidc(
    to: Path,
    dataset: Dataset,
    listed: Sequence[ListedSlice],
    series: Sequence[CtSeries],
    *,
    work: Path,
    rebuild: Rebuild,
) -> dict[str, Any]:
    """Rebuilds the paper's subset: PNG files of whole slices in train, valid and test.

    A number beyond its series is reported and left out, never guessed.

    Args:
        to: The zip file to write, whole or not at all.
        dataset: What the archive is of.
        listed: The slices.
        series: One series of each patient.
        work: A folder for the series, which an interrupted run leaves for the next one.
        rebuild: The grey window.

    Returns:
        The record that also stands in the archive.

    Raises:
        TransferError: The bucket does not deliver.
        UserError: A file is broken.
    """

    def plan(each: CtSeries, stack: Stack) -> tuple[list[Cut], list[str]]:
        cuts, lost = [], []
        for item in listed:
            if item.patient != each.patient:
                continue
            if 1 <= item.number <= len(stack.slices):
                cuts.append(Cut(item.image, numbered_slice(stack, item.number)))
            else:
                lost.append(f"{item.image}: {each.patient} has no slice {item.number}")
        return cuts, lost

    about = {"doubtful": list(_DOUBTS)}
    return cut_archive(to, dataset, series, plan, work=work, rebuild=rebuild, about=about)


def numbered_slice(stack: Stack, number: int) -> Slice:
    """Slice k of the paper.

    Slices are counted by position. Instance numbers decide only from which end: the names of the list stem
    from a download that numbered files by them. Where instance numbers neither grow nor fall with the
    position, the count begins at the head, as scanners do by custom.

    Args:
        stack: The series.
        number: k, from 1 to the number of slices.
    """
    return stack.slices[number - 1 if stack.numbered > 0 else len(stack.slices) - number]
