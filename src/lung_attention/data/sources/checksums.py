"""Checksums of a folder of downloads: which one each file must keep, and who served it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lung_attention.errors import UserError
from lung_attention.files import read_json, write_json

CHECKSUMS = "sources.json"


@dataclass(frozen=True)
class Record:
    """Record of one file.

    Attributes:
        sha256: The checksum of the file as it lies in the folder.
        bytes: Its length.
        source: The source that served it.
        address: Where that was.
        fetched: The day, as YYYY-MM-DD.
        served: By source, the SHA-256 of what it served the first time; kept when the file is fetched again.
            Differs from `sha256` where the file is made from what was served, as weights are.
        made_with: The parameters with which the file was cut, if it was.
    """

    sha256: str
    bytes: int
    source: str
    address: str
    fetched: str
    served: dict[str, str]
    made_with: dict[str, Any] = field(default_factory=dict)


def read_record(file: Path) -> Record | None:
    """Record that the folder of a file has of it.

    Args:
        file: A file in a folder of downloads, which may be missing.

    Returns:
        The record, or `None` where there is none, as in a folder that a user filled by hand.

    Raises:
        UserError: The record is damaged.
    """
    table = file.parent / CHECKSUMS
    if not table.is_file():
        return None
    try:
        values = read_json(table).get(file.name)
        return None if values is None else Record(**values)
    except (UserError, TypeError, AttributeError) as error:
        raise UserError(
            f"{table} is damaged ({error})", remedy=f"remove {table}; checksums are then recorded anew"
        ) from error


def write_record(file: Path, record: Record) -> None:
    """Records a file; the records of the others in its folder stay."""
    table = file.parent / CHECKSUMS
    records = read_json(table) if table.is_file() else {}
    write_json(table, {**records, file.name: asdict(record)})
