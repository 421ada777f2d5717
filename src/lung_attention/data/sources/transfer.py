"""What all sources share: how one fails, and how the user is told."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from lung_attention.errors import UserError

# What stands behind a question mark may be a signature, and before an @ a password.
_SECRETS = ((re.compile(r"\?[^\s'\")]+"), ""), (re.compile(r"//[^/\s@]+@"), "//"))
_LONGEST_TEXT = 400


class TransferError(Exception):
    """A source does not deliver, for a reason that another source need not share."""


@contextmanager
def failing_as_source(what: str) -> Iterator[None]:
    """Failures of a service's client inside the block, as failures of the source.

    The clients' errors have no class in common, so every one counts, and says itself what it is.

    Args:
        what: What is asked for, for the message.

    Raises:
        TransferError: Something failed; the message has the client's words, without signatures and passwords.
        UserError: The disk is full, which no other source would mend.
    """
    try:
        yield
    except (TransferError, UserError):
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise UserError(
                f"{what}: the disk is full", remedy="make room, then run the same command again"
            ) from error
        raise TransferError(f"{what}: {words_of(error)}") from error
    except Exception as error:
        raise TransferError(f"{what}: {words_of(error)}") from error


def words_of(error: Exception) -> str:
    """Text of an error in one line, fit for messages: without signatures and passwords."""
    text = " ".join(str(error).split()) or type(error).__name__
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def tell(text: str) -> None:
    """Message to the user between the progress bars."""
    tqdm.write(text, file=sys.stderr)
