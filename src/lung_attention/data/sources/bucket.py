"""The instances of a series, over HTTPS from the public bucket that holds them.

A bucket lists a folder in XML, with the size and, as ETag, the MD5 of each file (Amazon S3, ListObjectsV2).
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlencode
from xml.etree import ElementTree

import requests

from lung_attention.data.sources.client import (
    Attempts,
    PassingError,
    Patience,
    TransferError,
    ask,
    shown,
)
from lung_attention.data.sources.collection import CtSeries
from lung_attention.files import replacing

_T = TypeVar("_T")

# Small files are fetched several at a time: what takes long is the way to the server and back.
_CONNECTIONS = 8

# A page of a listing is some hundred kilobytes; more is no listing.
_MOST_LISTING_BYTES = 16 * 2**20

_CHUNK_BYTES = 2**18

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


class Bucket:
    """Asks a public bucket for series. Use it in a `with` statement.

    Args:
        patience: How often and how long a failing server is asked again.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._own = threading.local()  # requests does not promise that threads can share a session
        self._sessions: list[requests.Session] = []

    def __enter__(self) -> Bucket:
        return self

    def __exit__(self, *_: object) -> None:
        for session in self._sessions:
            session.close()

    def instances(self, series: CtSeries) -> list[Instance]:
        """Lists the files of a series, by name.

        Raises:
            TransferError: The server does not answer, or does not have as many files as the index says.
        """
        found: list[Instance] = []
        token: str | None = None
        while True:
            query = {"list-type": "2", "prefix": f"{series.folder}/"}
            if token is not None:
                query["continuation-token"] = token
            address = f"{_root(series)}/?{urlencode(query)}"
            page, token = _parse_listing(self._read(address, series.patient), address)
            found += page
            if token is None or len(found) > series.instances:
                break
        if len(found) != series.instances:
            raise TransferError(
                f"{_root(series)} has {len(found)} files of series {series.uid} of {series.patient}, "
                f"expected {series.instances}"
            )
        return sorted(found, key=lambda instance: instance.name)

    def heads(
        self,
        series: CtSeries,
        instances: Sequence[Instance],
        *,
        size: int,
        advance: Callable[[float], object],
    ) -> Iterator[tuple[Instance, bytes]]:
        """Reads the beginning of each file.

        Args:
            series: The series.
            instances: Which of its files.
            size: How many bytes of each.
            advance: Is told how many bytes have come.

        Yields:
            Each file with its first bytes, in the order given.

        Raises:
            TransferError: The server does not deliver.
        """

        def read(instance: Instance) -> bytes:
            return self._read(_address(series, instance), series.patient, first=size)

        with self._several(read, instances) as results:
            for instance, content in zip(instances, results, strict=True):
                advance(len(content))
                yield instance, content

    def fetch(
        self,
        series: CtSeries,
        instances: Sequence[Instance],
        folder: Path,
        *,
        advance: Callable[[float], object],
    ) -> None:
        """Fetches files that are not in a folder yet. Each is checked before it gets its name.

        Args:
            series: The series.
            instances: Which of its files.
            folder: Where to; made if it is missing.
            advance: Is told how many bytes are there.

        Raises:
            TransferError: The server does not deliver; what has come stays for the next attempt.
        """
        folder.mkdir(parents=True, exist_ok=True)

        def fetch(instance: Instance) -> int:
            path = folder / instance.name
            if not path.exists() or path.stat().st_size != instance.bytes:
                content = self._read(_address(series, instance), series.patient, whole=instance)
                with replacing(path) as temporary:
                    temporary.write_bytes(content)
            return instance.bytes

        with self._several(fetch, instances) as results:
            for size in results:
                advance(size)

    @contextmanager
    def _several(
        self, work: Callable[[Instance], _T], instances: Sequence[Instance]
    ) -> Iterator[Iterator[_T]]:
        pool = ThreadPoolExecutor(_CONNECTIONS)
        try:
            yield pool.map(work, instances)
        finally:
            pool.shutdown(cancel_futures=True)

    def _session(self) -> requests.Session:
        if not hasattr(self._own, "session"):
            self._own.session = requests.Session()
            self._sessions.append(self._own.session)
        session: requests.Session = self._own.session
        return session

    def _read(
        self, address: str, label: str, *, first: int | None = None, whole: Instance | None = None
    ) -> bytes:
        headers = {"Accept-Encoding": "identity"}
        most = _MOST_LISTING_BYTES
        if first is not None:
            headers["Range"] = f"bytes=0-{first - 1}"
            most = first
        elif whole is not None:
            most = whole.bytes + 1  # one more shows that the file is longer than listed
        attempts = Attempts(label, self._patience)
        while True:
            try:
                with ask(self._session(), address, headers, auth=None, patience=self._patience) as response:
                    if response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                        raise TransferError(f"{shown(address)} is empty")
                    content = _content(response, most)
                if whole is not None:
                    _check(content, whole, address)
                return content
            except PassingError as error:
                attempts.failed(error, progress=False)


def _content(response: requests.Response, most: int) -> bytes:
    """The answer, or its first bytes from a server that does not serve parts of a file."""
    content = bytearray()
    try:
        for chunk in response.iter_content(min(most, _CHUNK_BYTES)):
            content += chunk
            if len(content) >= most:
                break
    except requests.RequestException as error:
        raise PassingError("the connection was cut") from error
    return bytes(content[:most])


def _check(content: bytes, instance: Instance, address: str) -> None:
    if len(content) != instance.bytes:
        raise PassingError(f"{len(content):,} of {instance.bytes:,} bytes of {instance.name} have come")
    if instance.md5 is not None:
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != instance.md5:
            raise PassingError(f"{shown(address)} has MD5 {found}, but the bucket lists {instance.md5}")


def _parse_listing(content: bytes, address: str) -> tuple[list[Instance], str | None]:
    """The files of one page of a listing, and the token of the next page, if there is one."""
    try:
        root = ElementTree.fromstring(content)
        instances = [
            _instance(
                entry.findtext("{*}Key") or "",
                int(entry.findtext("{*}Size") or ""),
                (entry.findtext("{*}ETag") or "").strip('"'),
            )
            for entry in root.iterfind("{*}Contents")
            if not (entry.findtext("{*}Key") or "").endswith("/")  # a folder, which some tools put there
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise TransferError(f"{shown(address)} gives no listing that can be read ({error})") from error
    return instances, root.findtext("{*}NextContinuationToken")


def _instance(key: str, size: int, tag: str) -> Instance:
    name = key.rsplit("/", 1)[-1]
    if not _SAFE_NAME.fullmatch(name) or size < 0:
        raise ValueError(f"file {key!r} of {size} bytes")
    return Instance(name, size, tag if _MD5.fullmatch(tag) else None)


def _root(series: CtSeries) -> str:
    return f"https://{series.bucket}.s3.amazonaws.com"


def _address(series: CtSeries, instance: Instance) -> str:
    return f"{_root(series)}/{series.folder}/{instance.name}"
