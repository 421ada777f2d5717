"""Archives that are made here: complete or not there, and the same bytes on every day."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lung_attention.config import Dataset
from lung_attention.data.archive import open_archive
from lung_attention.data.members import find_members
from lung_attention.data.sources.transfer import TransferError
from lung_attention.errors import UserError
from lung_attention.files import ZIP_TIME
from lung_attention.writing import replacing


@contextmanager
def new_archive(to: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Zip file that gets its name only when it is complete.

    Args:
        to: The zip file.

    Yields:
        A function that adds a file, given its path and its content. Images are compressed already, so they
        are only stored.
    """
    with replacing(to) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:

        def add(name: str, content: bytes) -> None:
            archive.writestr(zipfile.ZipInfo(name, ZIP_TIME), content)

        yield add


def pack_images(folder: Path, to: Path, dataset: Dataset) -> None:
    """Archive of a dataset's images, from a folder of files of any kind.

    Args:
        folder: The folder.
        to: The zip file to write, whole or not at all.
        dataset: Whose images are taken.

    Raises:
        TransferError: The folder does not hold the dataset, or a file in it is a link to somewhere else.
    """
    try:
        with open_archive(folder) as (names, read), new_archive(to) as add:
            for member in find_members(names, dataset, path=folder):
                add(member.source, read(member.source))
    except UserError as error:
        raise TransferError(error.problem) from error
