"""One download over HTTP: resumed after an interruption, retried with growing waits, checked for its length.

A file grows as `<name>.part`; `<name>.part.json` beside it says of which version of the file it is a part, so
that a later run, or another day, goes on only where the server still has the same version.
"""

from __future__ import annotations

import errno
import re
import shutil
from http import HTTPStatus
from pathlib import Path
from typing import Any

import requests
from requests.auth import AuthBase
from tqdm import tqdm
from urllib3.exceptions import HTTPError, ReadTimeoutError

from lung_attention.data.sources.client import (
    Attempts,
    PassingError,
    Patience,
    TransferError,
    ask,
    shown,
)
from lung_attention.errors import UserError
from lung_attention.files import read_json, write_json

# Left free on the disk beside what is downloaded: a full disk breaks more than a download.
_SPARE_BYTES = 256 * 2**20

_CHUNK_BYTES = 2**18

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+)")


def download(
    session: requests.Session,
    address: str,
    target: Path,
    *,
    label: str,
    patience: Patience,
    auth: AuthBase | None = None,
    expected_bytes: int | None = None,
) -> None:
    """Downloads a file, going on where an earlier attempt stopped.

    Args:
        session: Carries settings from one request to the next; proxies come from the usual variables.
        address: The file's address at the service; a mirror is asked instead where one is set.
        target: Where the complete file is put; nothing is asked where it is already.
        label: What the progress bar is called.
        patience: How often and how long a failing server is asked again.
        auth: Credentials; they go to the address alone, never to where it redirects.
        expected_bytes: The file's length, where it is known beforehand.

    Raises:
        TransferError: The source does not deliver; what has come stays for the next attempt.
        UserError: The disk is too small.
    """
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    attempts = Attempts(label, patience)
    best = _size(part)
    while True:
        try:
            _request(session, address, part, label, patience, auth, expected_bytes)
            break
        except PassingError as error:
            attempts.failed(error, progress=_size(part) > best)
            best = max(best, _size(part))
    part.replace(target)
    _state_of(part).unlink(missing_ok=True)


def require_space(folder: Path, needed_bytes: int) -> None:
    """Refuses to begin what the disk cannot hold.

    Args:
        folder: An existing folder on the disk.
        needed_bytes: What will be written.

    Raises:
        UserError: There is not that much, and some to spare.
    """
    free = shutil.disk_usage(folder).free
    needed = needed_bytes + _SPARE_BYTES
    if needed > free:
        raise UserError(
            f"{folder} has {free / 1e9:.2f} GB free, but {needed / 1e9:.2f} GB are needed",
            remedy="make room, or choose another disk: lung-attention fetch --to FOLDER",
        )


def _request(
    session: requests.Session,
    address: str,
    part: Path,
    label: str,
    patience: Patience,
    auth: AuthBase | None,
    expected_bytes: int | None,
) -> None:
    """One request; on return the part is the whole file."""
    have, state = _resumable(part, address)
    if have and have == state["bytes"]:
        return  # complete, but not yet renamed when the process ended
    # Without `identity` lengths and ranges would be those of a compressed copy.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": state["validator"]}
    with ask(session, address, headers, auth=auth, patience=patience) as response:
        if response.status_code == HTTPStatus.OK:
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise TransferError(f"{shown(address)} answers with a web page instead of a file")
            total = _length(response)
            if expected_bytes is not None and total is not None and total != expected_bytes:
                raise TransferError(
                    f"{shown(address)} has {total:,} bytes, but {expected_bytes:,} are expected of it"
                )
            have = 0
            _forget(part)
            state = {"address": shown(address), "bytes": total, "validator": _validator(response)}
            write_json(_state_of(part), state)
        elif not have or not _continues(response, have, state):
            _forget(part)
            raise PassingError("the file has changed on the server meanwhile")
        total = state["bytes"]
        require_space(part.parent, (total or 0) - have)
        _receive(response, part, have, total, label)


def _receive(response: requests.Response, part: Path, have: int, total: int | None, label: str) -> None:
    bar = tqdm(total=total, initial=have, desc=label, unit="B", unit_scale=True, mininterval=0.5)
    try:
        with bar, part.open("ab" if have else "wb") as stream:
            # `iter_content` would wait for a whole chunk, and drop what has come of it when the line breaks.
            while chunk := response.raw.read1(_CHUNK_BYTES):
                stream.write(chunk)
                bar.update(len(chunk))
    except ReadTimeoutError as error:
        raise PassingError("the server is silent") from error
    except HTTPError as error:
        raise PassingError("the connection was cut") from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(
            f"{part.parent}: the disk is full", remedy="make room; what has come is kept"
        ) from error
    if total is not None and _size(part) != total:
        raise PassingError(f"{_size(part):,} of {total:,} bytes have come")


def _resumable(part: Path, address: str) -> tuple[int, dict[str, Any]]:
    """How many bytes of a known version are here, and which version that is; 0 to begin anew."""
    have = _size(part)
    if not have:
        return 0, {}
    try:
        state = read_json(_state_of(part))
        known = state["address"] == shown(address) and state["bytes"] and have <= state["bytes"]
        resumable = bool(known and (state["validator"] or have == state["bytes"]))
    except (OSError, ValueError, KeyError, TypeError):
        resumable = False
    return (have, state) if resumable else (0, {})


def _continues(response: requests.Response, have: int, state: dict[str, Any]) -> bool:
    """Whether a partial answer is the rest of the version that is here; some servers ignore If-Range."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    same = _validator(response) in (None, state["validator"])
    return match is not None and (int(match[1]), int(match[2])) == (have, state["bytes"]) and same


def _validator(response: requests.Response) -> str | None:
    """What tells one version of a file from another, fit for If-Range: a strong ETag or a date."""
    tag: str | None = response.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified")


def _length(response: requests.Response) -> int | None:
    value = response.headers.get("Content-Length", "")
    return int(value) if value.isdecimal() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _state_of(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _state_of(part).unlink(missing_ok=True)
