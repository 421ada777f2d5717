"""One request to a public server: where it goes, who asks, and what a failure means."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.auth import AuthBase
from tqdm import tqdm
from urllib3.exceptions import InvalidHeader, NewConnectionError
from urllib3.util.retry import Retry

from lung_attention.errors import UserError

MIRROR_VARIABLE = "LUNG_ATTENTION_MIRROR"

# Statuses that pass: the server is busy or broken for the moment. All others stay as they are.
_PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Patience:
    """How long a server is asked again.

    Attributes:
        tries: Requests in a row that brought nothing new, after which a source has failed.
        tries_to_connect: The same for a server that cannot even be reached, which seldom passes.
        first_wait_s: Seconds before the second request; each wait is twice the one before.
        longest_wait_s: The longest wait, also where the server names one (Retry-After); a server that wants
            more has failed, and the next source is asked.
        timeout_s: Seconds without a byte after which a connection counts as cut.
    """

    tries: int
    tries_to_connect: int
    first_wait_s: float
    longest_wait_s: float
    timeout_s: float


# Half a minute of waiting bridges a restart of a router or server; the size of a wait changes no result.
PATIENCE = Patience(tries=6, tries_to_connect=3, first_wait_s=1.0, longest_wait_s=120.0, timeout_s=60.0)


class TransferError(Exception):
    """A source does not deliver, for a reason that another source need not share."""


class AccessError(TransferError):
    """The server wants to know who asks, or knows and refuses."""


class PassingError(Exception):
    """A failure worth another request."""

    def __init__(self, what: str, *, wait_s: float | None = None, unreachable: bool = False) -> None:
        super().__init__(what)
        self.wait_s = wait_s
        self.unreachable = unreachable


class Attempts:
    """Decides after each failure whether to ask again, and waits.

    Args:
        label: What is being fetched, for messages.
        patience: How often and how long.
    """

    def __init__(self, label: str, patience: Patience) -> None:
        self._label = label
        self._patience = patience
        self._failures = 0

    def failed(self, error: PassingError, *, progress: bool) -> None:
        """Waits before the next request.

        Args:
            error: What went wrong.
            progress: Whether the request brought something new all the same; then counting starts anew.

        Raises:
            TransferError: It is no use.
        """
        patience = self._patience
        self._failures = 1 if progress else self._failures + 1
        if self._failures >= (patience.tries_to_connect if error.unreachable else patience.tries):
            raise TransferError(f"{error}; asked {self._failures} times without success") from error
        wait_s = error.wait_s
        if wait_s is None:
            wait_s = min(patience.first_wait_s * 2 ** (self._failures - 1), patience.longest_wait_s)
        if wait_s > patience.longest_wait_s:
            raise TransferError(f"{error}; the server wants to be left alone for {wait_s:.0f} s") from error
        tell(f"{self._label}: {error}; again in {wait_s:.0f} s")
        time.sleep(wait_s)


def mirrored(address: str) -> str:
    """The address at the mirror named by `LUNG_ATTENTION_MIRROR`, if there is one.

    A mirror keeps the files of all servers under their hosts' names: `https://mirror.example/cache` serves
    `https://host/path` as `https://mirror.example/cache/host/path`.

    Args:
        address: The address at the service itself.

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
    parts = urlsplit(address)
    query = f"?{parts.query}" if parts.query else ""
    return f"{base.rstrip('/')}/{parts.netloc}{parts.path}{query}"


def shown(address: str) -> str:
    """An address fit for messages and records: without passwords and signatures."""
    parts = urlsplit(address)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def ask(
    session: requests.Session,
    address: str,
    headers: dict[str, str],
    *,
    auth: AuthBase | None,
    patience: Patience,
) -> requests.Response:
    """Sends one request, the answer's content still to be read.

    Args:
        session: Carries settings from one request to the next; proxies come from the usual variables.
        address: The address at the service; a mirror is asked instead where one is set.
        headers: What the request says beside the address.
        auth: Credentials; they go to the address alone, neither to a mirror nor to where it redirects.
        patience: Says when a silent server counts as gone.

    Returns:
        An answer of status 200, 206 or 416.

    Raises:
        PassingError: Another request may help.
        AccessError: The server refuses whoever asks.
        TransferError: Another request will not help.
    """
    asked = mirrored(address)
    credentials: Any = auth
    if asked != address:
        credentials = None  # a mirror's own stand in its address or ~/.netrc
    elif auth is None:
        credentials = _anonymous  # `None` would let ~/.netrc speak
    try:
        response = session.get(
            asked, headers=headers, stream=True, timeout=patience.timeout_s, auth=credentials
        )
    except requests.exceptions.SSLError as error:
        raise TransferError(f"the certificate of {urlsplit(asked).hostname} is not accepted") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise PassingError(_reason(error), unreachable=_is_unreachable(error)) from error
    except requests.RequestException as error:
        raise TransferError(_reason(error)) from error
    try:
        _check(response, asked)
    except AccessError as error:
        response.close()
        if asked != address:  # no secret of ours is for the mirror
            raise TransferError(str(error)) from error
        raise
    except Exception:
        response.close()
        raise
    return response


def _anonymous(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _check(response: requests.Response, asked: str) -> None:
    if urlsplit(asked).scheme == "https" and urlsplit(response.url).scheme != "https":
        raise TransferError(f"{shown(asked)} redirects to an address without encryption")
    status = response.status_code
    if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        return
    text = f"{shown(asked)} answered {status} {response.reason or ''}".rstrip()
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise AccessError(text)
    if status in _PASSING:
        raise PassingError(text, wait_s=_retry_after(response))
    raise TransferError(text)


def _retry_after(response: requests.Response) -> float | None:
    """Seconds that the server asks to be left alone, given as such or as a date."""
    value = response.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return Retry().parse_retry_after(value)
    except InvalidHeader:
        return None


def _reason(error: requests.RequestException) -> str:
    """What happened, in words; the library's own text may hold a signed address."""
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, requests.Timeout):
        return "the server is silent"
    if isinstance(error, requests.TooManyRedirects):
        return "the server redirects in circles"
    if _is_unreachable(error):
        return "the server cannot be reached"
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return "the connection was cut"
    return f"the request failed ({type(error).__name__})"


def _is_unreachable(error: requests.RequestException) -> bool:
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(reason, NewConnectionError)


def get_json(session: requests.Session, address: str, *, auth: AuthBase | None, patience: Patience) -> Any:
    """Asks a service's interface a question.

    Args:
        session: Carries settings from one request to the next.
        address: The question.
        auth: Credentials, if any.
        patience: How often and how long a failing server is asked again.

    Returns:
        The answer, decoded from JSON.

    Raises:
        TransferError: There is no answer, or one that is no JSON.
    """
    attempts = Attempts(urlsplit(address).hostname or address, patience)
    while True:
        try:
            with ask(session, address, {}, auth=auth, patience=patience) as response:
                return response.json()
        except PassingError as error:
            attempts.failed(error, progress=False)
        except requests.RequestException as error:
            raise TransferError(f"the answer of {shown(address)} cannot be read") from error


def tell(text: str) -> None:
    """Tells the user something between the progress bars."""
    tqdm.write(text, file=sys.stderr)
