"""Images of anyone's: files, folders and zip archives, in the order in which people count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from natsort import natsorted

from lung_attention.data.archive import open_archive
from lung_attention.data.limits import read_limited
from lung_attention.data.sources.dicom import DicomError, Slice, read_slice, stack_slices
from lung_attention.data.unreadable import guarded
from lung_attention.errors import UserError
from lung_attention.images.decode import UnreadableError
from lung_attention.images.names import IMAGE_SUFFIXES, READ_SUFFIXES

_SLICES = (".dcm", ".ima", "")  # DICOM files often have no suffix


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        name: The path as it was given, with that inside a folder or archive.
        read: Reads its bytes; raises `UnreadableError`.
    """

    name: str
    read: Callable[[], bytes]


def find_inputs(paths: Iterable[Path]) -> Iterator[Input]:
    """Yields the images of paths, one by one.

    Args:
        paths: Files, folders or zip archives. What is named itself is tried whatever it is called; of folders
            and archives files count whose suffix is that of an image, if only of one that is refused, or of
            DICOM, or that have none.

    Yields:
        The inputs: path by path, in natural order (2 before 10), but DICOM slices of a folder or archive in
        the order of their positions, before its pictures. An archive that cannot be opened is an input that
        cannot be read.
    """
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".zip":
            yield from _inside(path)
        else:
            yield Input(str(path), partial(read_file, path))


def _inside(path: Path) -> Iterator[Input]:
    try:
        with open_archive(path) as (names, read):
            pictures = natsorted(name for name in names if _suffix(name) in IMAGE_SUFFIXES)
            slices = [name for name in names if _suffix(name) in _SLICES]
            for name in [*_by_position(slices, read), *pictures]:
                yield Input(f"{path}/{name}", partial(guarded, read, name))
            if not pictures and not slices:
                yield _broken(path, f"it holds no file of {READ_SUFFIXES}, .dcm")
    except UserError as error:
        yield _broken(path, error.problem)


def is_image_name(name: str) -> bool:
    """Whether the name of a file in a folder or archive is that of a picture or, perhaps, of a slice."""
    return _suffix(name) in (*IMAGE_SUFFIXES, *_SLICES)


def _broken(path: Path, reason: str) -> Input:
    def refuse() -> bytes:
        raise UnreadableError(reason.removeprefix(f"{path}").removeprefix(":").strip())

    return Input(str(path), refuse)


def _suffix(name: str) -> str:
    file = name.rsplit("/", 1)[-1]
    return "hidden" if file.startswith(".") else Path(file).suffix.lower()


def read_file(path: Path) -> bytes:
    """Reads a file within limits.

    Raises:
        UnreadableError: It is too large, or cannot be read.
    """
    try:
        return read_limited(path)
    except OSError as error:
        raise UnreadableError(str(error.strerror)) from error


def _by_position(names: Sequence[str], read: Callable[[str], bytes]) -> list[str]:
    """DICOM slices from one end of the body to the other; files that do not say where they lie come last."""
    placed: list[Slice] = []
    others: list[str] = []
    for name in natsorted(names):
        try:
            placed.append(read_slice(read(name), name))
        except (DicomError, UserError):
            others.append(name)
    try:
        return [*(one.file for one in stack_slices(placed).slices), *others]
    except DicomError:  # none, or slices of different directions
        return [*(one.file for one in placed), *others]
