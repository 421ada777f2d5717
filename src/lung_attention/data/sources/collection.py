"""The CT series of LIDC-IDRI at the NCI Imaging Data Commons, from the index that its package ships.

The index (package idc-index-data) answers without a network: identifiers, numbers of instances, sizes, and in
which folder of which public bucket a series lies. The companion downloader idc-index is not used: it reads
the whole index of a million series into memory, only logs where a download fails, and its address is fixed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

import idc_index_data
import pandas as pd

from lung_attention.errors import UserError

_COLLECTION = "lidc_idri"

_COLUMNS = {
    "PatientID": "patient",
    "SeriesInstanceUID": "uid",
    "instanceCount": "instances",
    "series_size_MB": "megabytes",
    "aws_bucket": "bucket",
    "crdc_series_uuid": "folder",
}


@dataclass(frozen=True)
class CtSeries:
    """One CT series.

    Attributes:
        patient: Such as `LIDC-IDRI-0001`.
        uid: Its Series Instance UID.
        instances: How many instances (files, for this collection slices) it has.
        bytes: Their size together.
        bucket: The public bucket that holds them.
        folder: Their folder in the bucket.
    """

    patient: str
    uid: str
    instances: int
    bytes: int
    bucket: str
    folder: str


@functools.cache
def ct_series() -> tuple[CtSeries, ...]:
    """All CT series of LIDC-IDRI, by patient and identifier. Reading the index takes some seconds."""
    index = idc_index_data.IDC_INDEX_PARQUET_FILEPATH
    assert index is not None  # the package raises on import where the file is missing
    table = pd.read_parquet(
        index,
        columns=list(_COLUMNS),
        filters=[("collection_id", "==", _COLLECTION), ("Modality", "==", "CT")],
    ).rename(columns=_COLUMNS)
    table = table.sort_values(["patient", "uid"], ignore_index=True)
    return tuple(
        CtSeries(
            patient=str(row["patient"]),
            uid=str(row["uid"]),
            instances=int(row["instances"]),
            bytes=round(float(row["megabytes"]) * 1e6),
            bucket=str(row["bucket"]),
            folder=str(row["folder"]),
        )
        for row in table.to_dict("records")
    )


def series_of_patients(patients: Iterable[str]) -> list[CtSeries]:
    """The one CT series of each patient, in the order given.

    Raises:
        UserError: The installed index has no series of a patient, or several.
    """
    found = []
    for patient in patients:
        own = [series for series in ct_series() if series.patient == patient]
        if len(own) != 1:
            raise _unexpected(f"{len(own)} CT series of patient {patient}, expected one")
        found += own
    return found


def series_of_identifiers(uids: Iterable[str]) -> list[CtSeries]:
    """The series with these identifiers, in the order given.

    Raises:
        UserError: The installed index lacks one.
    """
    known = {series.uid: series for series in ct_series()}
    found = []
    for uid in uids:
        if uid not in known:
            raise _unexpected(f"no series {uid}")
        found.append(known[uid])
    return found


def _unexpected(what: str) -> UserError:
    return UserError(
        f"the index of the Imaging Data Commons (idc-index-data {idc_index_data.__version__}) has {what}",
        remedy="install the locked version: make env",
    )
