"""Image archives, read in place: a zip file or an unpacked folder, members under the release's layout."""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from natsort import natsort_keygen

from lung_attention.config.datasets import Dataset
from lung_attention.errors import UserError
from lung_attention.paths import DATASETS

# The releases' images are below 1 MiB each and 2 GB in all: what goes far beyond was made to fill a disk.
MAX_MEMBER_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 16 * 2**30
MAX_MEMBERS = 250_000  # ten times LC25000 with its colon part

# Images are compressed already, zip makes them hardly smaller. Measured over the whole archive too, since
# members that share their compressed bytes look harmless one by one.
MAX_RATIO = 100
_SMALL_BYTES = 2**20  # below this a uniform image may well shrink that much, and does no harm

# The largest image of a release has 768 x 768 pixels. Beyond this, decoding takes memory for no use.
MAX_PIXELS = 4096 * 4096

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
)

_natural = natsort_keygen()


@dataclass(frozen=True)
class Member:
    """One image of an archive.

    Attributes:
        image: Its path below the release's top folder, the image's name everywhere in the project.
        label: Its class.
        source: Its name inside the archive or folder.
    """

    image: str
    label: str
    source: str


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
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    inside = folder.resolve()
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
        return (folder / name).read_bytes()
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
    if len(members) > MAX_MEMBERS:
        raise UserError(f"{path} has {len(members):,} members, more than {MAX_MEMBERS:,}", remedy=remedy)
    total = sum(info.file_size for info in members)
    if total > MAX_TOTAL_BYTES:
        raise UserError(f"{path} unpacks to {total:,} bytes, more than {MAX_TOTAL_BYTES:,}", remedy=remedy)
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


def find_members(names: list[str], dataset: Dataset, *, path: Path) -> list[Member]:
    """Finds a dataset's images among the files of an archive.

    The release's top folder may be nested in other folders, as in some public copies, or be missing. The `._`
    files that macOS puts beside every file of an archive are no images, whatever their ending.

    Args:
        names: The files of the archive.
        dataset: What the archive should hold.
        path: The archive, for messages.

    Returns:
        The images in class order, inside a class folder by folder in natural order (2 before 10).

    Raises:
        UserError: A class folder is missing or empty, or an image stands in two.
    """
    members: list[Member] = []
    suffixes = tuple(dataset.archive.suffixes)
    for label, folders in dataset.classes.items():
        for folder in folders:
            found = []
            for name in names:
                head, marker, tail = f"/{name}".partition(f"/{folder}/")
                if marker and "/" not in tail and tail.lower().endswith(suffixes):
                    if tail.startswith("._"):
                        continue
                    if head and not _is_below_root(head, dataset):
                        continue
                    found.append(Member(f"{folder}/{tail}", label, name))
            if not found:
                raise UserError(
                    f"{path}: no images in class folder {folder!r}; expected "
                    f"{dataset.archive.root}/{folder}/ with files ending in {' or '.join(suffixes)}",
                    remedy=f"check that this is the archive of {dataset.title}, or correct classes in "
                    f"{DATASETS}/{dataset.id}.yaml",
                )
            members += sorted(found, key=lambda member: _natural(member.image))
    images = [member.image for member in members]
    if len(set(images)) < len(images):
        twice = next(image for image in images if images.count(image) > 1)
        raise UserError(f"{path}: image {twice!r} stands in two folders", remedy="remove one of the copies")
    sources = [member.source for member in members]
    if len(set(sources)) < len(sources):
        twice = next(source for source in sources if sources.count(source) > 1)
        raise UserError(
            f"{path}: class folders lie in each other, so that {twice!r} would be in two",
            remedy="put the images of each class in a folder of its own, none in another, or correct classes "
            f"in {DATASETS}/{dataset.id}.yaml",
        )
    return members


def require_counts(members: list[Member], dataset: Dataset, *, path: Path) -> None:
    """Compares the images of each class with the public release, where there is one.

    Args:
        members: The images found.
        dataset: What the archive should hold.
        path: The archive, for messages.

    Raises:
        UserError: A class has more or fewer images.
    """
    expected = dataset.archive.counts
    if expected is None:
        return
    labels = [member.label for member in members]
    found = {name: labels.count(name) for name in dataset.classes}
    if found != expected:
        raise UserError(
            f"{path}: found {found} images, expected {expected} of {dataset.title}",
            remedy="fetch the complete archive, or for one of your own: --set download.check_counts=false",
        )


def _is_below_root(head: str, dataset: Dataset) -> bool:
    """Whether a class folder's parent is (the end of) the release's top folder, or a stranger's."""
    if any(ignored in head for ignored in dataset.archive.ignored):
        return False
    if not dataset.archive.root:
        return "/" not in head.strip("/")
    last = dataset.archive.root.rsplit("/", 1)[-1]
    return head.rsplit("/", 1)[-1] == last or "/" not in head.strip("/")
