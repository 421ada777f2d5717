"""Marked regions of a text that a program keeps up to date, between two comments."""

from __future__ import annotations

from lung_attention.errors import UserError


def region(name: str, content: str) -> str:
    """A region with its marks, each on a line of its own."""
    inner = f"{content.strip()}\n" if content.strip() else ""
    return f"{_start(name)}\n{inner}{_end(name)}"


def replace_region(text: str, name: str, content: str) -> str:
    """Puts new content between the marks of a region.

    Args:
        text: A Markdown or HTML text.
        name: The region's name in its marks, `<!-- generated:NAME -->` and `<!-- /generated:NAME -->`.
        content: What stands between them afterwards; may be empty.

    Returns:
        The text; doing it twice gives the same.

    Raises:
        UserError: The text does not have each mark exactly once, in their order.
    """
    start, end = _start(name), _end(name)
    if text.count(start) != 1 or text.count(end) != 1 or text.index(start) > text.index(end):
        raise UserError(
            f"The text does not hold the marks {start} and {end} once each, in this order.",
            remedy=f"put the line {start} where the content belongs, and {end} below it",
        )
    before, rest = text.split(start)
    return before + region(name, content) + rest.split(end)[1]


def _start(name: str) -> str:
    return f"<!-- generated:{name} -->"


def _end(name: str) -> str:
    return f"<!-- /generated:{name} -->"
