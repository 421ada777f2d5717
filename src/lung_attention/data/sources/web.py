"""Files at plain addresses that everybody may have, through pooch."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from lung_attention.config import Source
from lung_attention.config.sources import WebSource
from lung_attention.data.sources.table import Item
from lung_attention.data.sources.transfer import TransferError, failing_as_source
from lung_attention.errors import UserError

MIRROR_VARIABLE = "LUNG_ATTENTION_MIRROR"

# pooch begins anew after a failure, with waits of 1, 2 and 3 s.
_RETRIES = 3
_TIMEOUT_S = 60.0
_CHUNK_BYTES = 2**18


def from_web(item: Item, source: Source, target: Path) -> None:
    """Downloads a file; where its publisher gives a checksum, that is compared.

    Args:
        item: What the file is.
        source: Its address, and what is known of it.
        target: The file to write, whole or not at all.

    Raises:
        TransferError: The server does not deliver, or something else than was published.
        UserError: The mirror's address is none.
    """
    import pooch

    assert isinstance(source, WebSource)
    pooch.get_logger().setLevel("WARNING")
    downloads = pooch.create(
        path=target.parent,
        base_url="",
        registry={target.name: f"md5:{source.md5}" if source.md5 else None},
        urls={target.name: mirrored(source.address)},
        retry_if_failed=_RETRIES,
    )
    get = pooch.HTTPDownloader(
        progressbar=True,
        chunk_size=_CHUNK_BYTES,
        timeout=_TIMEOUT_S,
        # Some servers turn a library's own name away.
        headers={"User-Agent": "lung-attention", "Accept-Encoding": "identity"},
    )
    with failing_as_source(source.address):
        downloads.fetch(target.name, downloader=get)
    size = target.stat().st_size
    if source.bytes is not None and size != source.bytes:
        target.unlink()
        raise TransferError(f"it has {size:,} bytes, but {source.bytes:,} are expected of it")


def mirrored(address: str) -> str:
    """Address at the mirror named by `LUNG_ATTENTION_MIRROR`, if there is one.

    A mirror keeps the files of all servers under their hosts' names: `https://mirror.example/cache` serves
    `https://host/path` as `https://mirror.example/cache/host/path`.

    Args:
        address: The address at the publisher.

    Returns:
        The address to ask.

    Raises:
        UserError: The variable holds no web address.
    """
    base = os.environ.get(MIRROR_VARIABLE)
    if not base:
        return address
    if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).netloc:
        raise UserError(
            f"{MIRROR_VARIABLE}={base} is no web address",
            remedy=f"export {MIRROR_VARIABLE}=https://mirror.example/cache, or unset it",
        )
    return f"{base.rstrip('/')}/{address.partition('://')[2]}"
