"""Saving a model so that the same weights give the same bytes."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from lung_attention.files import ZIP_TIME

_DATE_SAVED = "1980-01-01@00:00:00"


def save_model(model: keras.Model, path: Path) -> None:
    """Saves a model as a `.keras` file without the traces of when and in which process it was saved.

    Keras writes the date into the file, and the memory address of each object that several layers share. With
    these, DVC would take every repeated training for a new result.

    Args:
        model: Any model.
        path: The file, with the suffix `.keras`.
    """
    model.save(path)
    with zipfile.ZipFile(path) as saved:
        parts = {info.filename: saved.read(info) for info in saved.infolist()}
    metadata = json.loads(parts["metadata.json"])
    parts["metadata.json"] = json.dumps({**metadata, "date_saved": _DATE_SAVED}).encode()
    parts["config.json"] = json.dumps(_numbered(parts["config.json"])).encode()
    with zipfile.ZipFile(path, "w") as rewritten:
        for name, content in parts.items():
            rewritten.writestr(zipfile.ZipInfo(name, ZIP_TIME), content)


def _numbered(config: bytes) -> Any:
    """The configuration with the addresses of shared objects replaced by 1, 2, … as they occur."""
    numbers: dict[int, int] = {}

    def number(part: dict[str, Any]) -> dict[str, Any]:
        if "shared_object_id" in part:
            part["shared_object_id"] = numbers.setdefault(part["shared_object_id"], len(numbers) + 1)
        return part

    return json.loads(config, object_hook=number)
