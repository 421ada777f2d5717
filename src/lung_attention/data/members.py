"""The images of a dataset among the files of an archive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from natsort import natsort_keygen

from lung_attention.config.datasets import Dataset
from lung_attention.errors import UserError
from lung_attention.paths import DATASETS

# Where macOS puts what it knows of files beside them, under the same names.
_MACOS = "__MACOSX"

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
    if any(ignored in head for ignored in dataset.archive.ignored) or _MACOS in head.split("/"):
        return False
    if not dataset.archive.root:
        return "/" not in head.strip("/")
    last = dataset.archive.root.rsplit("/", 1)[-1]
    return head.rsplit("/", 1)[-1] == last or "/" not in head.strip("/")
