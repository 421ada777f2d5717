"""Features on disk: one array for all images of a dataset, memory-mapped, and which row is which image.

No TensorFlow here: whoever only reads features needs none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lung_attention.errors import UserError
from lung_attention.files import require_sha256

# Half precision keeps three digits, more than features of a frozen backbone mean, in half the space.
DTYPE = np.float16


def images_digest(images: Sequence[str]) -> str:
    """SHA-256 of the images' names in order: says which row of an array is which image."""
    return hashlib.sha256("\n".join(images).encode()).hexdigest()


def load_features(path: Path, info: Mapping[str, Any], images: Sequence[str]) -> npt.NDArray[np.float16]:
    """Opens features that are what was written once, as their hash tells; they stay on disk.

    Args:
        path: The array.
        info: Its description.
        images: The images the caller expects, in order.

    Returns:
        The array `(n, rows, cols, channels)`, memory-mapped.

    Raises:
        UserError: The array was made of other images or in another order, or it is damaged.
    """
    if info["images_sha256"] != images_digest(images):
        raise UserError(
            f"{path} was made of other images than the split table names",
            remedy="dvc repro",
        )
    require_sha256(path, info["sha256"])
    features: npt.NDArray[np.float16] = np.load(path, mmap_mode="r")
    return features
