"""Datasets of Kaggle, through kagglehub: without an account where Kaggle allows that."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest.mock import patch

from lung_attention.config import Source
from lung_attention.data.sources.packing import pack_images
from lung_attention.data.sources.table import Item
from lung_attention.data.sources.transfer import TransferError, failing_as_source, words_of

_CACHE_VARIABLE = "KAGGLEHUB_CACHE"
_TIMEOUT_S = 60.0


def from_kaggle(item: Item, source: Source, target: Path) -> None:
    """Downloads a dataset, which kagglehub unpacks, and packs the images that are wanted.

    Args:
        item: A dataset.
        source: Its handle, `owner/name`.
        target: The archive to write, whole or not at all. What has come lies in a folder beside it until
            then, and kagglehub goes on there after an interruption.

    Raises:
        TransferError: Kaggle does not deliver; the message says how to name a token where one is wanted.
    """
    import requests

    assert item.dataset is not None

    folder = target.with_name(f"{target.name}.kaggle")
    try:
        with failing_as_source(source.address), _cache(folder), _limited():
            import kagglehub

            logging.getLogger("kagglehub").setLevel(logging.WARNING)  # it logs to the standard output
            unpacked = Path(kagglehub.dataset_download(source.address))
            pack_images(unpacked, target, item.dataset)
    except TransferError as error:
        cause = error.__cause__
        if isinstance(cause, requests.HTTPError) and cause.response is not None:
            if cause.response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise TransferError(
                    f"{words_of(error)}; create a token in Kaggle's settings and set KAGGLE_API_TOKEN"
                ) from error
        elif not isinstance(cause, requests.RequestException):
            # It has all come and is no use; kagglehub would take it again for what is wanted.
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder)


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Folder where kagglehub keeps what it downloads; no argument of it names one it can go on in."""
    before = os.environ.get(_CACHE_VARIABLE)
    os.environ[_CACHE_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CACHE_VARIABLE]
        else:
            os.environ[_CACHE_VARIABLE] = before


@contextmanager
def _limited() -> Iterator[None]:
    """Gives requests without a time limit one: Kaggle's client would wait for an answer for ever."""
    from requests import PreparedRequest, Response
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def limited(
        self: HTTPAdapter, request: PreparedRequest, stream: bool = False, timeout: Any = None, **rest: Any
    ) -> Response:
        return send(self, request, stream=stream, timeout=timeout or _TIMEOUT_S, **rest)

    with patch.object(HTTPAdapter, "send", limited):
        yield
