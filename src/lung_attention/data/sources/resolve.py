"""A profile's source of archives and weights: the embedded sample, a user's folders, or what was fetched."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from platformdirs import user_cache_path

from lung_attention.data.archive import open_archive
from lung_attention.data.sources.checksums import CHECKSUMS, Record, read_record
from lung_attention.errors import UserError
from lung_attention.files import sha256
from lung_attention.paths import SAMPLE

ARCHIVES_VARIABLE = "LUNG_ATTENTION_ARCHIVES"
WEIGHTS_VARIABLE = "LUNG_ATTENTION_WEIGHTS"
DOWNLOADS_VARIABLE = "LUNG_ATTENTION_DOWNLOADS"


def downloads_folder() -> Path:
    """Folder of what was fetched: `LUNG_ATTENTION_DOWNLOADS`, else one in the user's cache."""
    value = os.environ.get(DOWNLOADS_VARIABLE)
    return Path(value) if value else user_cache_path("lung-attention")


def find_archive(dataset_id: str, *, source: str) -> Path:
    """Archive of a dataset.

    Args:
        dataset_id: The dataset.
        source: `embedded` (the sample), `folder` (the user's copies) or `public` (what was fetched).

    Returns:
        A zip file, or an unpacked folder of the dataset's name.

    Raises:
        UserError: There is none.
    """
    if source == "embedded":
        return SAMPLE / f"{dataset_id}.zip"
    if source == "public":
        return _fetched(dataset_id, f"{dataset_id}.zip")
    folder = _folder(ARCHIVES_VARIABLE, "archives <dataset>.zip, or of folders <dataset>/")
    for candidate in (folder / f"{dataset_id}.zip", folder / dataset_id):
        if candidate.exists():
            return candidate
    raise UserError(
        f"{folder} (${ARCHIVES_VARIABLE}) holds neither {dataset_id}.zip nor a folder {dataset_id}/; "
        f"found {_listing(folder)}",
        remedy=f"put the archive there, or leave {dataset_id} out: --set 'datasets=[...]'",
    )


def find_weights(backbone: str, *, source: str) -> Path:
    """ImageNet weights of a backbone without its top.

    Args:
        backbone: The backbone.
        source: `folder` (the user's copies) or `public` (what was fetched).

    Returns:
        A weight file, named `<backbone>_notop.weights.h5`.

    Raises:
        UserError: There is none.
    """
    name = f"{backbone}_notop.weights.h5"
    if source == "public":
        return _fetched(backbone, name)
    folder = _folder(WEIGHTS_VARIABLE, "weight files such as densenet121_notop.weights.h5")
    path = folder / name
    if not path.is_file():
        raise UserError(
            f"{folder} (${WEIGHTS_VARIABLE}) holds no {name}; found {_listing(folder)}",
            remedy=f"fetch it on a machine with a network: lung-attention fetch --to FOLDER {backbone}",
        )
    return path


def fingerprint(path: Path) -> str:
    """Checksum that tells whether a source has changed.

    Args:
        path: A file, or a folder.

    Returns:
        The SHA-256 of the file; of a folder, that of its files' names and contents.

    Raises:
        UserError: The folder holds more than an archive may.
    """
    if path.is_file():
        return sha256(path)
    with open_archive(path) as (names, _):
        listing = sorted(f"{name} {sha256(path / name)}" for name in names)
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def verify(path: Path, *, expected: str | None) -> tuple[str, Record | None]:
    """Compares a source with every checksum recorded for it.

    Args:
        path: A file, or a folder.
        expected: What params.yaml demands, if anything.

    Returns:
        The source's checksum, and the record that its folder has of where it came from, if there is one.

    Raises:
        UserError: A checksum differs.
    """
    found = fingerprint(path)
    record = read_record(path)
    for place, known in (("params.yaml", expected), (CHECKSUMS, record.sha256 if record else None)):
        if known is not None and known != found:
            raise UserError(
                f"{path} has sha256 {found}, but {known} is recorded for it in {place}",
                remedy=f"restore the file, or remove the checksum from {place} if the change is wanted",
            )
    return found, record


def _fetched(name: str, file: str) -> Path:
    folder = downloads_folder()
    path = folder / file
    if not path.is_file():
        raise UserError(
            f"{file} has not been fetched; {folder} does not hold it", remedy=f"lung-attention fetch {name}"
        )
    return path


def _folder(variable: str, content: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        raise UserError(
            f"the environment variable {variable} is not set", remedy=f"let it name a folder of {content}"
        )
    folder = Path(value)
    if not folder.is_dir():
        raise UserError(f"{variable}={value} is no folder", remedy=f"let it name a folder of {content}")
    return folder


def _listing(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") if names else "nothing"
