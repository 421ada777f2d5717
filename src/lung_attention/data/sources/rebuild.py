"""What both rebuilt archives share: a series on the disk, and images cut from its slices into a zip file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter
from tqdm import tqdm

from lung_attention.config import Dataset, Rebuild
from lung_attention.data.sources.bucket import Bucket
from lung_attention.data.sources.collection import CtSeries
from lung_attention.data.sources.dicom import (
    DicomError,
    Slice,
    Stack,
    hounsfield,
    png,
    read_slice,
    stack_slices,
    window,
)
from lung_attention.data.sources.packing import new_archive
from lung_attention.data.sources.transfer import tell
from lung_attention.errors import UserError
from lung_attention.files import write_text

Image = npt.NDArray[np.float64]

# What is read of a file to learn where its slice lies. Headers of this collection have 1,700 to 2,700 bytes.
HEAD_BYTES = 4096

RECORD_NAME = "record.json"

_SLICES = TypeAdapter(list[Slice])


@dataclasses.dataclass(frozen=True)
class Cut:
    """One image to be cut from a slice.

    Attributes:
        image: Its path below the archive's top folder.
        place: The slice.
        part: Makes of the slice, (rows, columns) in HU, what the image shows, in HU.
    """

    image: str
    place: Slice
    part: Callable[[Image], Image] = lambda hu: hu


class SeriesFolder:
    """A series whose files are fetched into a folder as they are needed.

    Args:
        series: The series.
        folder: Where its files are kept; what an earlier, interrupted run put there is used.
        bucket: Where they come from.

    Raises:
        TransferError: The bucket does not deliver.
    """

    def __init__(self, series: CtSeries, folder: Path, *, bucket: Bucket) -> None:
        self.series = series
        self._folder = folder
        self._bucket = bucket
        self._instances = {instance.name: instance for instance in bucket.instances(series)}

    def stack(self) -> Stack:
        """Where the slices lie. Of files that are not there only the beginning is read.

        Raises:
            TransferError: The bucket does not deliver.
            UserError: A file says nothing about its place, or the slices make no stack.
        """
        known = self._folder / "slices.json"
        if known.exists():
            slices = _SLICES.validate_json(known.read_bytes())
        else:
            slices = list(self._read_slices())
            write_text(known, _SLICES.dump_json(slices).decode())
        try:
            return stack_slices(slices)
        except DicomError as error:
            raise UserError(
                f"series {self.series.uid} of {self.series.patient} is no stack of slices: {error}",
                remedy=f"remove {self._folder} and fetch again",
            ) from error

    def hounsfield(self, slices: Sequence[Slice]) -> Iterator[Image]:
        """Decodes slices one after the other, (rows, columns) in HU.

        Args:
            slices: Which ones; their files are fetched together where they are missing.

        Raises:
            TransferError: The bucket does not deliver.
            UserError: A file is broken; it is named.
        """
        names = dict.fromkeys(each.file for each in slices)
        self._bucket.fetch(self.series, [self._instances[name] for name in names], self._folder)
        for each in slices:
            try:
                yield hounsfield((self._folder / each.file).read_bytes())
            except DicomError as error:
                raise self._broken(each.file, error) from error

    def _read_slices(self) -> Iterator[Slice]:
        here = [each for each in self._instances.values() if each.is_at(self._folder / each.name)]
        for instance in here:
            yield self._read_here(instance.name)
        absent = [each for each in self._instances.values() if each not in here]
        for instance, head in self._bucket.heads(self.series, absent, size=HEAD_BYTES):
            try:
                yield read_slice(head, instance.name)
            except DicomError:  # a header that is longer than usual
                self._bucket.fetch(self.series, [instance], self._folder)
                yield self._read_here(instance.name)

    def _read_here(self, name: str) -> Slice:
        try:
            return read_slice((self._folder / name).read_bytes(), name)
        except DicomError as error:
            raise self._broken(name, error) from error

    def _broken(self, name: str, error: DicomError) -> UserError:
        path = self._folder / name
        return UserError(
            f"{path}, a slice of series {self.series.uid} of {self.series.patient}, cannot be read: {error}",
            remedy=f"remove {path} and run the same command again",
        )


def cut_archive(
    to: Path,
    dataset: Dataset,
    series: Sequence[CtSeries],
    plan: Callable[[CtSeries, Stack], tuple[list[Cut], list[str]]],
    *,
    work: Path,
    rebuild: Rebuild,
    about: dict[str, Any],
) -> dict[str, Any]:
    """Cuts images from CT series into a zip file. One series is open at a time, and of it one slice decoded.

    Args:
        to: The zip file to write, whole or not at all.
        dataset: What the archive is of.
        series: The series, in the order in which they are cut.
        plan: Says of a series which images are cut from it, and which ones are left out and why.
        work: A folder for the files, which an interrupted run leaves for the next one.
        rebuild: The grey window.
        about: What else the record says.

    Returns:
        The record that also stands in the archive: what served, and what is doubtful.

    Raises:
        TransferError: The bucket does not deliver.
        UserError: A file is broken.
    """
    bucket, root = Bucket(), dataset.archive.root
    told = []
    left_out: list[str] = []
    with new_archive(to) as add:
        for each in tqdm(series, desc=f"{dataset.id}: CT series", unit="series"):
            folder = SeriesFolder(each, work / each.uid, bucket=bucket)
            stack = folder.stack()
            cuts, lost = plan(each, stack)
            left_out += lost
            for cut, hu in zip(cuts, folder.hounsfield([cut.place for cut in cuts]), strict=True):
                grey = window(cut.part(hu), level_hu=rebuild.level_hu, width_hu=rebuild.width_hu)
                add(f"{root}/{cut.image}", png(grey))
            told.append(_describe(each, stack) | {"images": len(cuts)})
        record = {
            "collection": "LIDC-IDRI",
            "window": {"level_hu": rebuild.level_hu, "width_hu": rebuild.width_hu},
            "series": told,
            "left_out": left_out,
            **about,
        }
        text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
        add(f"{root}/{RECORD_NAME}", f"{text}\n".encode())
    for problem in left_out:
        tell(f"{dataset.id}: {problem}; left out")
    return record


def _describe(series: CtSeries, stack: Stack) -> dict[str, Any]:
    return {
        "patient": series.patient,
        "series": series.uid,
        "served_by": f"{series.bucket}/{series.folder}",
        "slices": len(stack.slices),
        "numbered_from": "feet" if stack.numbered > 0 else "head",
        "step_mm": round(stack.step_mm, 4),
        "missing_slices": [dataclasses.asdict(gap) for gap in stack.gaps],
        "repeated_slices": list(stack.repeated),
    }
