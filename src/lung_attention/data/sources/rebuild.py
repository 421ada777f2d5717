"""What both rebuilt archives share: a series on the disk, and the record of what served."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lung_attention.data.sources.bucket import Bucket
from lung_attention.data.sources.collection import CtSeries
from lung_attention.data.sources.dicom import DicomError, Slice, Stack, hounsfield, read_slice, stack_slices
from lung_attention.errors import UserError
from lung_attention.files import read_json, write_json

# What is read of a file to learn where its slice lies. Headers of this collection have 1,700 to 2,700 bytes.
HEAD_BYTES = 4096

RECORD_NAME = "record.json"


class SeriesFolder:
    """A series whose files are fetched into a folder as they are needed.

    Args:
        series: The series.
        folder: Where its files are kept; what an earlier, interrupted run put there is used.
        bucket: Where they come from.
        advance: Is told how many bytes are there.

    Raises:
        TransferError: The bucket does not deliver.
    """

    def __init__(
        self, series: CtSeries, folder: Path, *, bucket: Bucket, advance: Callable[[float], object]
    ) -> None:
        self.series = series
        self._folder = folder
        self._bucket = bucket
        self._advance = advance
        self._instances = {instance.name: instance for instance in bucket.instances(series)}

    def fetch(self) -> None:
        """Fetches every file of the series."""
        self._bucket.fetch(self.series, list(self._instances.values()), self._folder, advance=self._advance)

    def stack(self) -> Stack:
        """Where the slices lie. Of files that are not there only the beginning is read.

        Raises:
            TransferError: The bucket does not deliver.
            UserError: A file says nothing about its place, or the slices make no stack.
        """
        known = self._folder / "slices.json"
        if known.exists():
            slices = [_slice_of(values) for values in read_json(known)]
        else:
            slices = list(self._read_slices())
            write_json(known, [dataclasses.asdict(each) for each in slices])
        try:
            return stack_slices(slices)
        except DicomError as error:
            raise UserError(
                f"series {self.series.uid} of {self.series.patient} is no stack of slices: {error}",
                remedy=f"remove {self._folder} and fetch again",
            ) from error

    def hounsfield(self, slices: list[Slice]) -> Iterator[npt.NDArray[np.float64]]:
        """Decodes slices one after the other, (rows, columns) in HU.

        Args:
            slices: Which ones; their files are fetched together where they are missing.

        Raises:
            TransferError: The bucket does not deliver.
            UserError: A file is broken; it is named.
        """
        missing = [name for name in {each.file: None for each in slices} if not self._is_here(name)]
        self._bucket.fetch(
            self.series, [self._instances[name] for name in missing], self._folder, advance=self._advance
        )
        for each in slices:
            try:
                yield hounsfield((self._folder / each.file).read_bytes())
            except DicomError as error:
                raise self._broken(each.file, error) from error

    def _read_slices(self) -> Iterator[Slice]:
        absent = [each for each in self._instances.values() if not self._is_here(each.name)]
        for instance, head in self._bucket.heads(self.series, absent, size=HEAD_BYTES, advance=self._advance):
            try:
                yield read_slice(head, instance.name)
            except DicomError:  # a header that is longer than usual
                self._bucket.fetch(self.series, [instance], self._folder, advance=self._advance)
                yield self._read_here(instance.name)
        heads_read = {each.name for each in absent}
        for name in self._instances:
            if name not in heads_read:
                yield self._read_here(name)

    def _read_here(self, name: str) -> Slice:
        try:
            return read_slice((self._folder / name).read_bytes(), name)
        except DicomError as error:
            raise self._broken(name, error) from error

    def _is_here(self, name: str) -> bool:
        path = self._folder / name
        return path.exists() and path.stat().st_size == self._instances[name].bytes

    def _broken(self, name: str, error: DicomError) -> UserError:
        path = self._folder / name
        return UserError(
            f"{path}, a slice of series {self.series.uid} of {self.series.patient}, cannot be read: {error}",
            remedy=f"remove {path} and run the same command again",
        )


def encode_record(record: dict[str, Any]) -> bytes:
    """The record as it stands in an archive: indented JSON with sorted keys."""
    return (json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def describe_series(series: CtSeries, stack: Stack) -> dict[str, Any]:
    """What a record tells of a series: what it is, and what is odd about its slices."""
    return {
        "patient": series.patient,
        "series": series.uid,
        "served_by": f"{series.bucket}/{series.folder}",
        "slices": len(stack.slices),
        "step_mm": round(stack.step_mm, 4),
        "missing_slices": [dataclasses.asdict(gap) for gap in stack.gaps],
        "repeated_slices": list(stack.repeated),
    }


def _slice_of(values: dict[str, Any]) -> Slice:
    return Slice(
        file=values["file"],
        position_mm=tuple(values["position_mm"]),
        normal=tuple(values["normal"]),
        spacing_mm=tuple(values["spacing_mm"]),
        number=values["number"],
    )
