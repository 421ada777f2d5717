"""Images that cannot be read: all are looked at, then each is named with what it is instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from lung_attention.errors import UserError
from lung_attention.images.decode import UnreadableError

SOME_UNREADABLE = 3
"""The exit code of commands that go on where an image could not be read."""


def guarded(read: Callable[[str], bytes], name: str) -> bytes:
    """Reads a member of a folder or archive.

    Raises:
        UnreadableError: It cannot be read.
    """
    try:
        return read(name)
    except UserError as error:
        _, _, reason = error.problem.partition(f"{name!r} ")
        raise UnreadableError(f"it {reason}" if reason else error.problem) from error


def refuse_unreadable(unreadable: Mapping[str, str], *, of: int, source: Path) -> None:
    """Refuses a source with images that cannot be read rightly, and lists all of them.

    Args:
        unreadable: What is found in place of an image, by the names of the files.
        of: How many images were looked at.
        source: The folder or archive.

    Raises:
        UserError: There is one.
    """
    if unreadable:
        lines = "".join(f"\n  {name!r}: {reason}" for name, reason in unreadable.items())
        raise UserError(
            f"{source}: {len(unreadable):,} of {of:,} images cannot be read rightly:{lines}",
            remedy="take them out, or fetch the archive again where they are damaged; save images of your "
            "own with 8 bits, grey or RGB, after windowing where they are CT slices",
        )
