"""The table of sources for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from lung_attention.config import Dataset
from lung_attention.config.sources import WebSource
from lung_attention.data.sources.checksums import read_record
from lung_attention.data.sources.resolve import ARCHIVES_VARIABLE, DOWNLOADS_VARIABLE, downloads_folder
from lung_attention.data.sources.table import Item, items
from lung_attention.data.sources.web import MIRROR_VARIABLE


def list_items(catalog: Mapping[str, Dataset]) -> str:
    """What can be fetched: sources, sizes, layout, licence and citation, and what is here already.

    Args:
        catalog: The datasets; those that nobody serves come last.

    Returns:
        Text of several lines for each dataset and weight file.
    """
    blocks = [(item.id, item.title, _facts(item)) for item in items(catalog).values()]
    blocks += [
        (dataset.id, dataset.title, _facts_of_unserved(dataset))
        for dataset in catalog.values()
        if dataset.sources is None
    ]
    lines = [f"Downloads: {downloads_folder()} (${DOWNLOADS_VARIABLE}); mirror: ${MIRROR_VARIABLE}"]
    for name, title, facts in blocks:
        lines += ["", f"{name}: {title}", *(_line(key, text) for key, text in facts)]
    return "\n".join(lines)


def _facts(item: Item) -> list[tuple[str, str]]:
    facts = [] if item.dataset is None else _images(item.dataset)
    facts.append(("size", f"about {item.about_bytes / 1e9:.2f} GB"))
    for number, source in enumerate(item.sources, 1):
        known = ""
        if isinstance(source, WebSource):
            known += f", {source.bytes:,} bytes" if source.bytes else ""
            known += f", md5 {source.md5}" if source.md5 else ""
        facts.append((f"source {number}", f"{source.name}: {source.page}{known}"))
    facts += [("licence", item.licence), ("citation", item.citation)]
    file = downloads_folder() / item.file
    record = read_record(file)
    if file.exists():
        served = f", from {record.source} on {record.fetched}, sha256 {record.sha256}" if record else ""
        facts.append(("here", f"{file}{served}"))
    else:
        facts.append(("here", f"no: lung-attention fetch {item.id}"))
    return facts


def _facts_of_unserved(dataset: Dataset) -> list[tuple[str, str]]:
    return [
        *_images(dataset),
        ("sources", f"none; for a copy of your own: ${ARCHIVES_VARIABLE}"),
        ("licence", dataset.licence),
        ("citation", dataset.citation),
    ]


def _images(dataset: Dataset) -> list[tuple[str, str]]:
    facts = []
    archive = dataset.archive
    if archive.counts is not None:
        counts = [f"{archive.counts[label]} {label}" for label in dataset.labels]
        facts.append(("images", f"{sum(archive.counts.values())}: {', '.join(counts)}"))
    folders = ", ".join(folder for of_class in dataset.classes.values() for folder in of_class)
    root = f"{archive.root}/ with " if archive.root else ""
    facts.append(("layout", f"{root}{folders} ({', '.join(archive.suffixes)})"))
    return facts


def _line(key: str, text: str) -> str:
    return textwrap.fill(
        text,
        width=110,
        initial_indent=f"  {key:<10}",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
