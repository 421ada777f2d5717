"""The archives that are cut from the CT series of LIDC-IDRI, with the parameters of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lung_attention.config import Rebuild
from lung_attention.data.sources.table import Item, Source


def cut_settings(item: Item, rebuild: Rebuild) -> dict[str, Any]:
    """Parameters on which an archive that is cut depends.

    Args:
        item: `lidc` or `lidc_nodules`.
        rebuild: How the archives are cut.

    Returns:
        Names and values, fit for JSON.
    """
    values = rebuild.model_dump()
    nodules = values.pop("nodules")
    return values | nodules if item.id == "lidc_nodules" else values


def transfer_bytes(item: Item, rebuild: Rebuild) -> int:
    """Bytes that are transferred for an archive, about; reads the installed index, which takes seconds."""
    if item.id == "lidc":
        from lung_attention.data.sources.lidc import lidc_series

        return sum(series.bytes for series in lidc_series())
    from lung_attention.data.sources.nodules import choose_nodules, nodules_transfer_bytes

    return nodules_transfer_bytes(choose_nodules(rebuild), slices=rebuild.nodules.slices)


def from_idc(item: Item, source: Source, target: Path, *, rebuild: Rebuild) -> None:
    """Cuts an archive from the public CT series.

    Args:
        item: `lidc` or `lidc_nodules`.
        source: Where the series are; the installed index knows the exact place of each.
        target: The archive to write, whole or not at all. What is fetched stays in a folder beside it until
            then, and an interrupted run leaves it for the next one.
        rebuild: How the archive is cut.

    Raises:
        TransferError: The public bucket does not deliver.
        UserError: A file is broken, or the installed index lacks a series.
    """
    work = target.with_name(f"{target.name}.series")
    if item.id == "lidc":
        from lung_attention.data.sources.lidc import cut_lidc, lidc_series, listed_slices

        cut_lidc(target, listed_slices(), lidc_series(), work=work, rebuild=rebuild)
        return
    from lung_attention.data.sources.nodules import choose_nodules, cut_nodules, series_of_nodules

    chosen = choose_nodules(rebuild)
    cut_nodules(target, chosen, series_of_nodules(chosen), work=work, rebuild=rebuild)
