"""The note on a committed report whose code has changed since."""

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
        stale: Names of stages whose code has changed since; empty if it is up to date.

    Returns:
        The text. Doing it twice is the same as doing it once.

    Raises:
        UserError: The text has no marked region.
    """
    notice = note_of(stale)
    if notice:
        is_page = text.lstrip().lower().startswith("<!doctype html")
        notice = f'<p class="notice stale">{notice}</p>' if is_page else f"> **Note.** {notice}"
    return replace_region(text, STALENESS, notice)


def note_of(stale: Sequence[str]) -> str:
    """Says which stages' code has changed; nothing where none has."""
    if not stale:
        return ""
    counts = Counter(name.partition("@")[0] for name in stale)
    named = [f"{stage} ({number})" if number > 1 else stage for stage, number in counts.items()]
    what = "this stage" if len(counts) == 1 else "these stages"
    return (
        f"The code of {what} has changed since the results below were computed: {listed(named)}. "
        "They may no longer be what the code gives."
    )
