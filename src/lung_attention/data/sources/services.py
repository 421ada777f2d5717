"""How each service is asked for an archive or a weight file."""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import requests
from requests.auth import AuthBase

from lung_attention.config import Rebuild
from lung_attention.data.sources import credentials
from lung_attention.data.sources.client import (
    AccessError,
    Patience,
    TransferError,
    get_json,
    tell,
)
from lung_attention.data.sources.idc import from_idc
from lung_attention.data.sources.table import Item, Source
from lung_attention.data.sources.transfer import download, require_space
from lung_attention.files import replacing, sha256

_T = TypeVar("_T")

# The earliest time a zip can hold: an archive made of shards must not depend on the day it is made.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

# Hugging Face's copy of LC25000 keeps the release's file names, which tell class and folder.
_LUNG_TILE = re.compile(r"(?:.*/)?lung_?(aca|n|scc)\d+\.jpe?g")


def deliverers(
    session: requests.Session, *, patience: Patience, rebuild: Rebuild
) -> dict[str, Callable[[Item, Source, Path], None]]:
    """How each service of the table is asked.

    Args:
        session: Carries settings from one request to the next.
        patience: How often and how long a failing server is asked again.
        rebuild: How archives are cut that have no other source.

    Returns:
        By service a function that writes what a source serves of an item to a file or raises `TransferError`.
    """
    return {
        "web": partial(from_web, session, patience=patience),
        "kaggle": partial(from_kaggle, session, patience=patience),
        "huggingface": partial(from_hugging_face, session, patience=patience),
        "idc": partial(from_idc, rebuild=rebuild, patience=patience),
    }


def from_web(
    session: requests.Session, item: Item, source: Source, target: Path, *, patience: Patience
) -> None:
    """Downloads a file that everybody may have."""
    download(session, source.address, target, label=item.id, patience=patience, expected_bytes=source.bytes)


def from_kaggle(
    session: requests.Session, item: Item, source: Source, target: Path, *, patience: Patience
) -> None:
    """Downloads a dataset of Kaggle, without a token where Kaggle allows that.

    Raises:
        TransferError: Kaggle does not deliver; the message says how to name a token where one is wanted.
    """
    _anonymous_first(
        lambda auth: download(session, source.address, target, label=item.id, patience=patience, auth=auth),
        credentials.kaggle,
        "set KAGGLE_USERNAME and KAGGLE_KEY, or put kaggle.json into ~/.kaggle",
    )


def from_hugging_face(
    session: requests.Session, item: Item, source: Source, target: Path, *, patience: Patience
) -> None:
    """Makes an archive of the release's layout from the Parquet shards of a dataset on Hugging Face.

    The listing of a repository gives length and SHA-256 of each shard. A shard's rows hold the images' own
    bytes and file names, so the archive has the same images under the same names as the release.

    Raises:
        TransferError: The service does not deliver, or its shards are not as expected.
    """
    host, _, repository = source.address.partition("/datasets/")

    def listing(auth: AuthBase | None) -> Any:
        address = f"{host}/api/datasets/{repository}/tree/main?recursive=true"
        return get_json(session, address, auth=auth, patience=patience)

    wanted = "set HF_TOKEN"
    entries = _anonymous_first(listing, credentials.hugging_face, wanted)
    shards = []
    try:
        for entry in entries:
            if entry["path"].endswith(".parquet"):
                shards.append((entry["path"], int(entry["size"]), str(entry["lfs"]["oid"])))
    except (KeyError, TypeError, ValueError) as error:
        raise TransferError(f"the listing of {repository} is not as expected") from error
    if not shards:
        raise TransferError(f"{repository} has no Parquet files")
    folder = target.with_name(target.name + ".shards")
    folder.mkdir(parents=True, exist_ok=True)
    # Shards and the archive made of them lie on the disk at the same time.
    require_space(folder, 2 * sum(size for _, size, _ in shards))
    paths = []
    for number, (name, size, digest) in enumerate(sorted(shards)):
        path = folder / f"{digest[:16]}.parquet"
        label = f"{item.id} {number + 1}/{len(shards)}"

        def get(auth: AuthBase | None, name: str = name, path: Path = path, size: int = size,
                label: str = label) -> None:  # fmt: skip
            address = f"{source.address}/resolve/main/{name}"
            download(session, address, path, label=label, patience=patience, auth=auth, expected_bytes=size)

        _anonymous_first(get, credentials.hugging_face, wanted)
        if (found := sha256(path)) != digest:
            path.unlink()
            raise TransferError(f"{name} has sha256 {found}, but {repository} lists {digest}")
        paths.append(path)
    _zip_lung_tiles(paths, target)
    shutil.rmtree(folder)


def _zip_lung_tiles(shards: list[Path], target: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names: set[str] = set()
    try:
        with replacing(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for shard in shards:
                for batch in pq.ParquetFile(shard).iter_batches(batch_size=64, columns=["image"]):
                    for image in batch.column("image").to_pylist():
                        if match := _LUNG_TILE.fullmatch(image["path"]):
                            name = image["path"].rsplit("/", 1)[-1]
                            folder = f"lung_colon_image_set/lung_image_sets/lung_{match[1]}"
                            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}", _ZIP_TIME), image["bytes"])
                            names.add(name)
    except (pa.ArrowException, KeyError, TypeError) as error:
        raise TransferError(
            f"{shards[0].parent.name} cannot be read as images: {type(error).__name__}"
        ) from error
    if not names:
        raise TransferError("the shards name no image as the release does, such as lungaca1.jpeg")


def _anonymous_first(
    ask: Callable[[AuthBase | None], _T], secret: Callable[[], AuthBase | None], remedy: str
) -> _T:
    """Asks without saying who asks; with credentials only where the service insists."""
    try:
        return ask(None)
    except AccessError as error:
        auth = secret()
        if auth is None:
            raise TransferError(f"{error}; {remedy}") from error
        tell("asking again with the token")
        try:
            return ask(auth)
        except AccessError as refused:
            raise TransferError(f"{refused}, also with the token") from refused
