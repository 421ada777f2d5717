"""A profile's source of archives and weights: the embedded sample, the user's folders, public servers."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from lung_attention.cells import SAMPLE
from lung_attention.errors import UserError
from lung_attention.files import sha256

ARCHIVES_VARIABLE = "LUNG_ATTENTION_ARCHIVES"
WEIGHTS_VARIABLE = "LUNG_ATTENTION_WEIGHTS"


def find_archive(dataset_id: str, *, source: str) -> Path:
    """Finds the archive of a dataset.

    Args:
        dataset_id: The dataset.
        source: `embedded` (the sample), `folder` (the user's copies) or `public`.

    Returns:
        A zip file, or an unpacked folder of the dataset's name.

    Raises:
        UserError: There is none.
    """
    if source == "embedded":
        return SAMPLE / f"{dataset_id}.zip"
    if source == "public":
        raise _no_downloads_yet(f"the archive of {dataset_id}", ARCHIVES_VARIABLE)
    folder = _folder(ARCHIVES_VARIABLE, "archives such as iqoth.zip, or folders such as iqoth/")
    for candidate in (folder / f"{dataset_id}.zip", folder / dataset_id):
        if candidate.exists():
            return candidate
    raise UserError(
        f"{folder} (${ARCHIVES_VARIABLE}) holds neither {dataset_id}.zip nor a folder {dataset_id}/; "
        f"found {_listing(folder)}",
        remedy=f"put the archive there, or leave {dataset_id} out: --set 'datasets=[...]'",
    )


def find_weights(backbone: str, *, source: str) -> Path:
    """Finds the ImageNet weights of a backbone without its top.

    Args:
        backbone: The backbone.
        source: `folder` (the user's copies) or `public`.

    Returns:
        A weight file, named `<backbone>_notop.weights.h5`.

    Raises:
        UserError: There is none.
    """
    if source == "public":
        raise _no_downloads_yet(f"the ImageNet weights of {backbone}", WEIGHTS_VARIABLE)
    folder = _folder(WEIGHTS_VARIABLE, "weight files such as densenet121_notop.weights.h5")
    path = folder / f"{backbone}_notop.weights.h5"
    if not path.is_file():
        raise UserError(
            f"{folder} (${WEIGHTS_VARIABLE}) holds no {path.name}; found {_listing(folder)}",
            remedy=f"save them with keras.applications: build the model with include_top=False and "
            f"call save_weights('{path.name}')",
        )
    return path


def fingerprint(path: Path) -> str:
    """A hash that tells whether a source has changed.

    Args:
        path: A file, or a folder.

    Returns:
        The SHA-256 of the file; of a folder, that of its files' names and sizes, since an unpacked dataset
        has thousands of files, each of which the import hashes anyway.
    """
    if path.is_file():
        return sha256(path)
    listing = sorted(
        f"{file.relative_to(path).as_posix()} {file.stat().st_size}"
        for file in path.rglob("*")
        if file.is_file()
    )
    return hashlib.sha256("\n".join(listing).encode()).hexdigest()


def check_pin(path: Path, pin: str | None) -> None:
    """Compares a source with the hash recorded for it.

    Raises:
        UserError: They differ.
    """
    if pin is None:
        return
    found = fingerprint(path)
    if found != pin:
        raise UserError(
            f"{path} has sha256 {found}, but {pin} is recorded for it in params.yaml",
            remedy="restore the file, or remove the pin if the change is wanted",
        )


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


def _no_downloads_yet(what: str, variable: str) -> UserError:
    return UserError(
        f"{what} cannot be downloaded yet",
        remedy=f"use your own copy: export {variable}=<folder>; make repro PROFILE=local",
    )
