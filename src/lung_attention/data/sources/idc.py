"""The archives that are cut from the CT series of LIDC-IDRI, with the parameters of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lung_attention.config import Dataset, Rebuild, Source
from lung_attention.config.sources import SeriesSource
from lung_attention.data.sources.table import Item


def series_source(item: Item) -> SeriesSource | None:
    """The CT series from which an archive is cut; None where it is cut from none."""
    return next((source for source in item.sources if isinstance(source, SeriesSource)), None)


def cut_settings(source: SeriesSource, rebuild: Rebuild) -> dict[str, Any]:
    """Parameters on which an archive that is cut depends.

    Args:
        source: What is cut.
        rebuild: How the archives are cut.

    Returns:
        Names and values, fit for JSON.
    """
    values = rebuild.model_dump()
    nodules = values.pop("nodules")
    return values | nodules if source.cut == "nodules" else values


def transfer_bytes(dataset: Dataset, source: SeriesSource, rebuild: Rebuild) -> int:
    """Bytes that are transferred for an archive, about; reads the installed index, which takes seconds."""
    if source.cut == "listed_slices":
        from lung_attention.data.sources.lidc import listed_slices, series_of_slices

        return sum(series.bytes for series in series_of_slices(listed_slices(dataset)))
    from lung_attention.data.sources.nodules import choose_nodules, nodules_transfer_bytes

    return nodules_transfer_bytes(choose_nodules(rebuild), slices=rebuild.nodules.slices)


def from_idc(item: Item, source: Source, target: Path, *, rebuild: Rebuild) -> None:
    """Cuts an archive from the public CT series.

    Args:
        item: A dataset.
        source: What is cut; the installed index knows the exact place of each series.
        target: The archive to write, whole or not at all. What is fetched stays in a folder beside it until
            then, and an interrupted run leaves it for the next one.
        rebuild: How the archive is cut.

    Raises:
        TransferError: The public bucket does not deliver.
        UserError: A file is broken, or the installed index lacks a series.
    """
    assert isinstance(source, SeriesSource)
    assert item.dataset is not None
    work = target.with_name(f"{target.name}.series")
    if source.cut == "listed_slices":
        from lung_attention.data.sources.lidc import cut_lidc, listed_slices, series_of_slices

        listed = listed_slices(item.dataset)
        cut_lidc(target, item.dataset, listed, series_of_slices(listed), work=work, rebuild=rebuild)
        return
    from lung_attention.data.sources.nodules import choose_nodules, cut_nodules, series_of_nodules

    chosen = choose_nodules(rebuild)
    cut_nodules(target, item.dataset, chosen, series_of_nodules(chosen), work=work, rebuild=rebuild)
