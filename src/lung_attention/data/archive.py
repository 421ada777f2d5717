"""Image archives, read in place: a zip file or an unpacked folder, members under the release's layout."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from lung_attention.data.limits import MAX_MEMBER_BYTES, read_limited
from lung_attention.errors import UserError
from lung_attention.images.decode import UnreadableError

# The releases have 2 GB at most: what goes far beyond was made to fill a disk.
MAX_TOTAL_BYTES = 16 * 2**30
MAX_MEMBERS = 250_000  # ten times LC25000 with its colon part

# Images are compressed already, zip makes them hardly smaller. Measured over the whole archive too, since
# members that share their compressed bytes look harmless one by one.
MAX_RATIO = 100
_SMALL_BYTES = 2**20  # below this a uniform image may well shrink that much, and does no harm

# What `zipfile` lets through of a damaged or unusual archive: bad structure, broken streams, names that are
# no text, compression methods it does not know.
_DAMAGE = (
    zipfile.BadZipFile,
    EOFError,
    OSError,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    UnicodeDecodeError,
    IndexError,
    MemoryError,  # a damaged LZMA member may ask for a dictionary of 4 GB
)


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """Opens a zip file or folder.

    Args:
        path: The zip file, or a folder of files.

    Yields:
        The names of all files, with `/` between folders, and a function that reads one of them.

    Raises:
        UserError: The file is missing, truncated or no zip, or a member has an unsafe name, is encrypted, no
            plain file, stands twice or unpacks to too much.
    """
    if path.is_dir():
        yield _files_below(path), lambda name: _read_file(path, name)
        return
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such archive", remedy="put the archive there") from error
    except _DAMAGE as error:
        raise UserError(
            f"{path} is no complete zip archive ({error})",
            remedy="fetch the archive again, it may be cut short",
        ) from error
    with archive:
        members = [info for info in archive.infolist() if not info.filename.endswith("/")]
        _refuse_unsafe(path, members)
        _refuse_bombs(path, members)

        def read(name: str) -> bytes:
            try:
                return archive.read(name)
            except _DAMAGE as error:
                raise UserError(
                    f"{path}: member {name!r} is damaged ({error})", remedy="fetch the archive again"
                ) from error

        yield [info.filename for info in members], read


def _files_below(folder: Path) -> list[str]:
    sizes = {
        file.relative_to(folder).as_posix(): file.stat().st_size
        for file in folder.rglob("*")
        if file.is_file()
    }
    names, inside = sorted(sizes), folder.resolve()
    _refuse_too_much(folder, len(sizes), sum(sizes.values()))
    for name in names:
        if not name.isprintable():
            raise UserError(f"{folder}: {name!r} has a name with unprintable characters", remedy="rename it")
        if not (folder / name).resolve().is_relative_to(inside):
            raise UserError(
                f"{folder}: {name!r} is a link that leaves the folder", remedy="put the file itself there"
            )
    return names


def _read_file(folder: Path, name: str) -> bytes:
    try:
        return read_limited(folder / name)
    except UnreadableError as error:
        raise UserError(f"{folder}: {name!r}: {error}", remedy="take it out of the folder") from error
    except OSError as error:
        raise UserError(
            f"{folder}: {name!r} cannot be read ({error.strerror})", remedy="look at the file's permissions"
        ) from error


def _refuse_unsafe(path: Path, members: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for info in members:
        parts = PurePosixPath(info.filename).parts
        problem = ""
        if not parts or not info.filename.isprintable():
            problem = "has an empty name or one with unprintable characters"
        elif info.filename.startswith("/") or ".." in parts or "\\" in info.filename or ":" in parts[0]:
            problem = "has a name that leaves its folder"
        elif info.flag_bits & 1:
            problem = "is encrypted"
        elif _kind(info) == stat.S_IFLNK:
            problem = "is a link"
        elif _kind(info) not in (0, stat.S_IFREG):
            problem = "is no plain file"
        elif info.filename in seen:
            problem = "stands in the archive twice"
        elif info.file_size > MAX_MEMBER_BYTES:
            problem = f"unpacks to {info.file_size:,} bytes, more than {MAX_MEMBER_BYTES:,}"
        if problem:
            raise UserError(f"{path}: member {info.filename!r} {problem}", remedy="fetch the archive again")
        seen.add(info.filename)


def _kind(info: zipfile.ZipInfo) -> int:
    """The kind of file that a Unix system has noted of a member; 0 where another system made the archive."""
    return stat.S_IFMT(info.external_attr >> 16)


def _refuse_bombs(path: Path, members: list[zipfile.ZipInfo]) -> None:
    remedy = "do not use this archive; fetch it from another source"
    total = sum(info.file_size for info in members)
    _refuse_too_much(path, len(members), total)
    size = path.stat().st_size
    if total > max(MAX_RATIO * size, _SMALL_BYTES):
        raise UserError(
            f"{path} unpacks to {total // size:,} times its size, more than {MAX_RATIO} times", remedy=remedy
        )
    for info in members:
        if info.file_size > max(MAX_RATIO * info.compress_size, _SMALL_BYTES):
            raise UserError(
                f"{path}: member {info.filename!r} unpacks to more than {MAX_RATIO} times its size",
                remedy=remedy,
            )


def _refuse_too_much(path: Path, members: int, total: int) -> None:
    remedy = "give the dataset alone, from a source that you trust"
    if members > MAX_MEMBERS:
        raise UserError(f"{path} has {members:,} members, more than {MAX_MEMBERS:,}", remedy=remedy)
    if total > MAX_TOTAL_BYTES:
        raise UserError(f"{path} unpacks to {total:,} bytes, more than {MAX_TOTAL_BYTES:,}", remedy=remedy)
