"""Instances of a series from the public bucket that holds them, through boto3: anonymous, nothing signed.

A bucket lists a folder with the size and, as ETag, the MD5 of each file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lung_attention.data.sources.collection import CtSeries
from lung_attention.data.sources.transfer import TransferError, failing_as_source
from lung_attention.writing import replacing

# Small files are fetched several at a time: what takes long is the way to the server and back.
_CONNECTIONS = 8
_ATTEMPTS = 6
# Each of these has the attempts above, so a server that never answers is given up after nine minutes.
_DOWNLOADS = 3
_TIMEOUT_S = 30

# A name from the server becomes a file here.
_SAFE_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Instance:
    """One file of a series.

    Attributes:
        name: Its name in the series' folder.
        bytes: Its size.
        md5: Its MD5, where the bucket tells it (it does of files that were uploaded in one part).
    """

    name: str
    bytes: int
    md5: str | None

    def is_at(self, path: Path) -> bool:
        """Whether a file is there in full."""
        return path.exists() and path.stat().st_size == self.bytes


class Bucket:
    """Public bucket of CT series. `AWS_ENDPOINT_URL_S3` names another server that has it."""

    def __init__(self) -> None:
        import boto3
        from boto3.s3.transfer import TransferConfig
        from botocore import UNSIGNED
        from botocore.config import Config

        with failing_as_source("the public bucket"):
            self._client: Any = boto3.client(
                "s3",
                region_name="us-east-1",
                config=Config(
                    signature_version=UNSIGNED,
                    retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                    connect_timeout=_TIMEOUT_S,
                    read_timeout=_TIMEOUT_S,
                    max_pool_connections=_CONNECTIONS,
                ),
            )
        self._alone = TransferConfig(use_threads=False, num_download_attempts=_DOWNLOADS)

    def instances(self, series: CtSeries) -> list[Instance]:
        """Files of a series, by name.

        Raises:
            TransferError: The server does not answer, or does not have as many files as the index says.
        """
        pages = self._client.get_paginator("list_objects_v2")
        with failing_as_source(_place(series)):
            found = [
                _instance(entry["Key"], entry["Size"], entry["ETag"].strip('"'))
                for page in pages.paginate(Bucket=series.bucket, Prefix=f"{series.folder}/")
                for entry in page.get("Contents", [])
                if not entry["Key"].endswith("/")  # a folder, which some tools put there
            ]
        if len(found) != series.instances:
            raise TransferError(
                f"{_place(series)} has {len(found)} files of series {series.uid} of {series.patient}, "
                f"expected {series.instances}"
            )
        return sorted(found, key=lambda instance: instance.name)

    def heads(
        self, series: CtSeries, instances: Sequence[Instance], *, size: int
    ) -> Iterator[tuple[Instance, bytes]]:
        """Beginning of each file.

        Args:
            series: The series.
            instances: Which of its files.
            size: How many bytes of each.

        Yields:
            Each file with its first bytes, in the order given.

        Raises:
            TransferError: The server does not deliver.
        """

        def read(instance: Instance) -> bytes:
            key = f"{series.folder}/{instance.name}"
            with failing_as_source(f"{series.bucket}/{key}"):
                answer = self._client.get_object(Bucket=series.bucket, Key=key, Range=f"bytes=0-{size - 1}")
                with answer["Body"] as body:
                    content: bytes = body.read(size)
            return content

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            yield from zip(instances, pool.map(read, instances), strict=True)

    def fetch(self, series: CtSeries, instances: Iterable[Instance], folder: Path) -> None:
        """Fetches files that are not in a folder yet. Each is checked before it gets its name.

        Args:
            series: The series.
            instances: Which of its files.
            folder: Where to; made if it is missing.

        Raises:
            TransferError: The server does not deliver; what has come stays for the next attempt.
        """
        folder.mkdir(parents=True, exist_ok=True)

        def fetch(instance: Instance) -> None:
            path = folder / instance.name
            if not instance.is_at(path):
                key = f"{series.folder}/{instance.name}"
                with failing_as_source(f"{series.bucket}/{key}"), replacing(path) as temporary:
                    self._client.download_file(series.bucket, key, str(temporary), Config=self._alone)
                    _check(temporary, instance)

        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            list(pool.map(fetch, instances))


def _check(path: Path, instance: Instance) -> None:
    content = path.read_bytes()
    if len(content) != instance.bytes:
        raise TransferError(f"{instance.name} has {len(content):,} bytes, but {instance.bytes:,} are listed")
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if instance.md5 not in (None, found):
        raise TransferError(f"{instance.name} has MD5 {found}, but the bucket lists {instance.md5}")


def _instance(key: str, size: int, tag: str) -> Instance:
    name = key.rsplit("/", 1)[-1]
    if not _SAFE_NAME.fullmatch(name):
        raise TransferError(f"the listing names a file {key!r}, which is no plain name")
    return Instance(name, size, tag if _MD5.fullmatch(tag) else None)


def _place(series: CtSeries) -> str:
    return f"{series.bucket}/{series.folder}"
