"""How each kind of source is asked for an archive or a weight file."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from lung_attention.config import Rebuild, Source
from lung_attention.config.sources import Kind
from lung_attention.data.sources.huggingface import from_hugging_face
from lung_attention.data.sources.idc import from_idc
from lung_attention.data.sources.kaggle import from_kaggle
from lung_attention.data.sources.table import Item
from lung_attention.data.sources.web import from_web

# Writes what a source serves of an item to a file, or raises TransferError.
Deliver = Callable[[Item, Source, Path], None]


def deliverers(rebuild: Rebuild) -> dict[Kind, Deliver]:
    """How each kind of source is asked.

    Args:
        rebuild: How archives are cut that have no other source.

    Returns:
        By kind a function that writes what a source serves of an item to a file or raises `TransferError`.
    """
    return {
        "web": from_web,
        "kaggle": from_kaggle,
        "huggingface": from_hugging_face,
        "idc": partial(from_idc, rebuild=rebuild),
    }
