"""Secrets for services that want to know who asks: from the environment or the service's own file alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import requests
from requests.auth import AuthBase, HTTPBasicAuth

from lung_attention.data.sources.client import TransferError


class Bearer(AuthBase):
    """A token in the `Authorization` header, which requests drops where an answer leads to another host."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Adds the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def kaggle() -> AuthBase | None:
    """Kaggle's user and key: `KAGGLE_USERNAME` and `KAGGLE_KEY`, else `kaggle.json`.

    The file is looked for where Kaggle's own client does: in `KAGGLE_CONFIG_DIR`, else in `~/.kaggle`.

    Returns:
        Credentials, or `None` where there are none.

    Raises:
        TransferError: The file cannot be understood; what stands in it is not repeated.
    """
    user, key = os.environ.get("KAGGLE_USERNAME"), os.environ.get("KAGGLE_KEY")
    if user and key:
        return HTTPBasicAuth(user, key)
    path = Path(os.environ.get("KAGGLE_CONFIG_DIR") or Path.home() / ".kaggle") / "kaggle.json"
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return HTTPBasicAuth(str(values["username"]), str(values["key"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        # Without the cause, whose text would quote the file.
        raise TransferError(f"{path} cannot be read as Kaggle's username and key") from None


def hugging_face() -> AuthBase | None:
    """Hugging Face's token: `HF_TOKEN`, else the file that its own client writes at a login.

    Returns:
        Credentials, or `None` where there are none.
    """
    token = os.environ.get("HF_TOKEN", "").strip()
    if not token:
        home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
        try:
            token = (home / "token").read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
    return Bearer(token) if token else None
