"""What a report is made of. One tree of blocks is rendered both as Markdown and as HTML.

Texts may carry `code`, **strong** and bare web addresses; everything else is shown as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Missing:
    """Names what should stand here, and is not there."""

    kind: ClassVar[str] = "missing"
    text: str


@dataclass(frozen=True)
class Bullets:
    """An unordered list."""

    kind: ClassVar[str] = "bullets"
    items: Sequence[str]


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        caption: What the table shows.
        columns: Headings.
        align: A letter a column: `l` for words, `r` for numbers.
        rows: Cells. A row whose first cell is empty belongs to the row above.

    Raises:
        ValueError: A row or `align` has another length than `columns`.
    """

    kind: ClassVar[str] = "table"
    caption: str
    columns: Sequence[str]
    align: str
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for cells in (self.align, *self.rows):
            if len(cells) != len(self.columns):
                raise ValueError(f"Expected {len(self.columns)} cells. Received: {cells!r}")

    def spans(self) -> Iterator[tuple[Sequence[str], int]]:
        """Yields each row with the number of rows its first cell stands for, 0 where that is empty."""
        for number, row in enumerate(self.rows):
            followers = takewhile(lambda other: not other[0], self.rows[number + 1 :])
            yield row, 1 + len(list(followers)) if row[0] or not number else 0


@dataclass(frozen=True)
class Picture:
    """A picture; Markdown shows its caption alone.

    Attributes:
        source: A data URI, so that the page needs nothing beside itself.
        alt: What is to be seen, in words and numbers, for those who do not see it.
        caption: The line below.
        width_px: Width at which its text has the size of the page's text.
        data: Where its numbers are, as a path beside the report; empty where a table on the page has them.
        tagged: Whether it is marked as a stand-in where the run has any.
        narrow: The same for a phone, likewise a data URI; empty where one source serves both.
    """

    kind: ClassVar[str] = "picture"
    source: str
    alt: str
    caption: str
    width_px: int
    data: str
    tagged: bool = True
    narrow: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures side by side, as far as the window is wide enough."""

    kind: ClassVar[str] = "gallery"
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Details:
    """What is folded away until somebody asks for it."""

    kind: ClassVar[str] = "details"
    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """What has an HTML page of its own, to which the report links; Markdown shows it in its place.

    Attributes:
        name: Of the page, without suffix.
        title: Its heading, and the link's text.
        blocks: Its content.
    """

    kind: ClassVar[str] = "page"
    name: str
    title: str
    blocks: Sequence[Block]


Block = Text | Missing | Bullets | Table | Picture | Gallery | Details | Page


@dataclass(frozen=True)
class Answer:
    """An answer to one of the questions that open a report.

    Attributes:
        question: What is asked.
        verdict: A few words, which a sentence of numbers may follow.
        numbers: The main numbers in one sentence; what equals or beats the networks is among them.
        details: All the rest, such as a row for each dataset.
    """

    question: str
    verdict: str
    numbers: str
    details: Sequence[Block]


@dataclass(frozen=True)
class Section:
    """A part of the report with a heading and an anchor."""

    anchor: str
    title: str
    blocks: Sequence[Block]
