"""The table of sources for people."""

from __future__ import annotations

import textwrap

from lung_attention.data.archive import UNRELEASED
from lung_attention.data.catalog import DATASETS
from lung_attention.data.sources.checksums import read_record
from lung_attention.data.sources.resolve import DOWNLOADS_VARIABLE, downloads_folder
from lung_attention.data.sources.table import ITEMS, Item
from lung_attention.data.sources.web import MIRROR_VARIABLE


def list_items() -> str:
    """What can be fetched: sources, sizes, layout, licence and citation, and what is here already.

    Returns:
        Text of several lines for each dataset and weight file.
    """
    lines = [f"Downloads: {downloads_folder()} (${DOWNLOADS_VARIABLE}); mirror: ${MIRROR_VARIABLE}"]
    for item in ITEMS.values():
        lines += ["", f"{item.id}: {item.title}"]
        lines += [_line(key, text) for key, text in _facts(item)]
    return "\n".join(lines)


def _facts(item: Item) -> list[tuple[str, str]]:
    facts = []
    if dataset := DATASETS.get(item.id):
        counts = [f"{count} {name}" for name, count in zip(dataset.classes, dataset.counts, strict=True)]
        folders = ", ".join(folder for of_class in dataset.folders for folder in of_class)
        if item.id not in UNRELEASED:
            facts.append(("images", f"{sum(dataset.counts)}: {', '.join(counts)}"))
        facts.append(("layout", f"{dataset.root}/ with {folders} ({', '.join(dataset.suffixes)})"))
    facts.append(("size", f"about {item.about_bytes / 1e9:.2f} GB"))
    for number, source in enumerate(item.sources, 1):
        known = f", {source.bytes:,} bytes" if source.bytes else ""
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


def _line(key: str, text: str) -> str:
    return textwrap.fill(
        text,
        width=110,
        initial_indent=f"  {key:<10}",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
