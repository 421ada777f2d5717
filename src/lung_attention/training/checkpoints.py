"""What a killed training goes on from: the state after the last epoch, and the fits that are finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lung_attention.writing import replacing

Array = npt.NDArray[Any]


class Checkpoints:
    """The checkpoints of one training, in a folder that carries the hash of its inputs.

    Folders beside it are of the same cell with other inputs, of no use any more, and are removed.

    Args:
        folder: Where they lie; made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for other in folder.parent.iterdir():
            if other != folder and other.is_dir():
                shutil.rmtree(other, ignore_errors=True)
        self._folder = folder

    def file(self, name: str) -> Path:
        """A file in the folder."""
        return self._folder / name

    def save(self, name: str, arrays: Sequence[Array], values: Mapping[str, Any]) -> None:
        """Keeps arrays, to the last bit, and plain values; a kill leaves those that were kept before."""
        with replacing(self.file(f"{name}.npz")) as temporary, temporary.open("wb") as stream:
            np.savez(stream, *arrays, values=np.array(json.dumps(values)))

    def load(self, name: str) -> tuple[list[Array], dict[str, Any]] | None:
        """What was kept under a name; None where nothing was."""
        file = self.file(f"{name}.npz")
        if not file.exists():
            return None
        with np.load(file) as kept:
            values: dict[str, Any] = json.loads(str(kept["values"]))
            return [kept[f"arr_{number}"] for number in range(len(kept.files) - 1)], values

    def remove(self, name: str) -> None:
        """Forgets what was kept under a name."""
        self.file(f"{name}.npz").unlink(missing_ok=True)
