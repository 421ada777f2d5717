"""One pass of the frozen backbone over all images of a dataset, into a memory-mapped array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from lung_attention.errors import UserError
from lung_attention.files import sha256, write_json
from lung_attention.models.feature_file import DTYPE, images_digest
from lung_attention.models.parts import Pixels, passed
from lung_attention.writing import replacing, reserve


def extract_features(
    pixels: Iterable[Pixels],
    images: Sequence[str],
    *,
    preprocessing: keras.Model,
    backbone: keras.Model,
    batch_size: int,
    path: Path,
    info_path: Path,
    info: dict[str, Any],
) -> None:
    """Writes the features of all images, batch by batch, so that memory stays flat.

    Args:
        pixels: The decoded images one by one, uint8 `(height, width, 3)` of any size.
        images: Their names.
        preprocessing: From pixels to the backbone's input.
        backbone: From its input to features `(batch, rows, cols, channels)`.
        batch_size: Images a pass.
        path: Where the array is written: `DTYPE` `(n, rows, cols, channels)`, a `.npy` file.
        info_path: Where its description is written: `info`, the shape, and hashes of the images' names and
            of the array.
        info: What else identifies the features.

    Raises:
        UserError: A feature is not finite or beyond half precision.
    """
    shape = (len(images), *backbone.output_shape[1:])
    with replacing(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=DTYPE, shape=shape)
        reserve(temporary)
        start = 0
        with tqdm(total=len(images), desc=path.stem, unit="image", mininterval=1) as progress:
            for batch in passed(
                pixels, preprocessing=preprocessing, backbone=backbone, batch_size=batch_size
            ):
                features = batch.astype(DTYPE)
                end = start + len(features)
                if not np.isfinite(features).all():
                    raise UserError(
                        f"features of images {start}..{end - 1} are not finite in {DTYPE.__name__}",
                        remedy="check the backbone's weight file",
                    )
                array[start:end] = features
                start = end
                progress.update(len(features))
        if start != len(images):
            raise ValueError(f"Expected {len(images)} images. Received: {start}")
        array.flush()
        del array
    found = {
        "name": path.stem.rsplit("-", 1)[-1],
        "shape": list(shape),
        "images_sha256": images_digest(images),
        "sha256": sha256(path),
    }
    write_json(info_path, {**info, **found})
