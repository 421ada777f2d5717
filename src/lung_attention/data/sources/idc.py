"""The archives that are cut from the CT series of LIDC-IDRI, with the parameters of params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lung_attention.config import Rebuild
from lung_attention.data.sources.table import Item, Source


def cut_settings(item: Item, rebuild: Rebuild) -> dict[str, Any]:
    """The parameters on which an archive that is cut depends.

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
    """About how much is transferred for an archive; reads the installed index, which takes seconds."""
    if item.id == "lidc":
        from lung_attention.data.sources.lidc import lidc_transfer_bytes

        return lidc_transfer_bytes()
    from lung_attention.data.sources.nodules import choose_nodules, nodules_transfer_bytes

    return nodules_transfer_bytes(choose_nodules(_choice(rebuild)), slices=rebuild.nodules.slices)


def from_idc(item: Item, source: Source, target: Path, *, rebuild: Rebuild) -> None:
    """Cuts an archive from the public CT series.

    Args:
        item: `lidc` or `lidc_nodules`.
        source: Where the series are; the installed index knows the exact place of each.
        target: The archive to write. What is fetched stays in a folder beside it until then.
        rebuild: How the archive is cut.

    Raises:
        TransferError: The public bucket does not deliver.
        UserError: A file is broken, or the installed index lacks a series.
    """
    work = target.with_name(f"{target.name}.series")
    if item.id == "lidc":
        from lung_attention.data.sources.lidc import build_lidc_archive

        build_lidc_archive(target, work=work, level_hu=rebuild.level_hu, width_hu=rebuild.width_hu)
        return
    from lung_attention.data.sources.nodules import Crop, build_nodules_archive

    nodules = rebuild.nodules
    build_nodules_archive(
        target,
        work=work,
        choice=_choice(rebuild),
        crop=Crop(
            size_mm=nodules.size_mm,
            size_px=nodules.size_px,
            slices=nodules.slices,
            level_hu=rebuild.level_hu,
            width_hu=rebuild.width_hu,
        ),
    )


def _choice(rebuild: Rebuild) -> Any:
    from lung_attention.data.sources.nodules import Choice

    nodules = rebuild.nodules
    return Choice(
        min_readers=nodules.min_readers,
        benign_at_most=nodules.benign_at_most,
        malignant_at_least=nodules.malignant_at_least,
        max_patients=nodules.max_patients,
    )
