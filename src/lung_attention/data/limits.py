"""How large a file from outside may be, and the reader that minds it."""

from __future__ import annotations

import stat
from pathlib import Path

from lung_attention.images.decode import UnreadableError

MAX_MEMBER_BYTES = 64 * 2**20
"""Of an image; those of the releases are below 1 MiB. What goes far beyond was made to fill a disk."""


def read_limited(path: Path) -> bytes:
    """Reads a file, if it is one and not too large.

    Raises:
        UnreadableError: It is a device, a pipe or the like, or larger than `MAX_MEMBER_BYTES`.
        OSError: It cannot be read.
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableError("it is no plain file")
    with path.open("rb") as stream:
        content = stream.read(MAX_MEMBER_BYTES + 1)  # what grows, and what the system makes up, has no size
    if len(content) > MAX_MEMBER_BYTES:
        raise UnreadableError(
            f"it has {max(found.st_size, len(content)):,} bytes, more than {MAX_MEMBER_BYTES:,}"
        )
    return content
