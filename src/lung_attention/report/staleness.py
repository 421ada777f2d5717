"""The note on a committed report that is not of the present code and parameters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lung_attention.report.numbers import listed
from lung_attention.report.regions import replace_region

STALENESS = "staleness"


def with_note(text: str, stale: Sequence[str]) -> str:
    """Puts a notice at the top of a report, or takes it away.

    Args:
        text: report.md or report.html, with its marked region.
        stale: Names of its stages that are stale; empty if it is up to date.

    Returns:
        The text. Doing it twice is the same as doing it once.

    Raises:
        UserError: The text has no marked region.
    """
    notice = note_of(stale)
    if notice:
        is_page = text.lstrip().lower().startswith("<!doctype html")
        notice = _folded(stale) if is_page else f"> **Note.** {notice}"
    return replace_region(text, STALENESS, notice)


def note_of(stale: Sequence[str]) -> str:
    """Says which stages are stale; nothing where none is."""
    if not stale:
        return ""
    return f"{short_note(stale)} These stages: {named(stale)}."


def short_note(stale: Sequence[str]) -> str:
    """Says that stages are stale; nothing where none is."""
    if not stale:
        return ""
    return "Code or parameters have changed since these results were computed, which may be others now."


def _folded(stale: Sequence[str]) -> str:
    return (
        f'<details class="notice stale"><summary>{short_note(stale)}</summary>'
        f"<p>These stages: {named(stale)}.</p></details>"
    )


def named(stale: Sequence[str]) -> str:
    """The stages, and how many cells of each."""
    counts = Counter(name.partition("@")[0] for name in stale)
    return listed([f"{stage} ({number})" if number > 1 else stage for stage, number in counts.items()])
