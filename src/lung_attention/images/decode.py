"""Decoding images, and the thumbnails in which they are compared."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from lung_attention.errors import UserError
from lung_attention.files import MEND

THUMBNAIL_SIZE_PX = 64

Pixels = npt.NDArray[np.uint8]


def decode(content: bytes) -> Pixels:
    """Decodes an encoded image.

    Args:
        content: The bytes of a JPEG, PNG or any other file that Pillow reads.

    Returns:
        uint8 `(height, width, 3)`, RGB; grey images have three equal channels.
    """
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


def thumbnail(content: bytes) -> Pixels:
    """Averages an encoded image down to a thumbnail.

    Results of the near-duplicate search depend on this representation, so it is fixed: Pillow's box filter,
    every image squeezed to a square.

    Args:
        content: The bytes of an image file.

    Returns:
        uint8 `(64, 64, 3)`, RGB.
    """
    with Image.open(io.BytesIO(content)) as image:
        small = image.convert("RGB").resize((THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX), Image.Resampling.BOX)
        return np.asarray(small)


def read_members(archive: Path, images: Sequence[str]) -> Iterator[bytes]:
    """Reads images of an archive one by one.

    Args:
        archive: A zip file whose members carry the images' names.
        images: The names, in the order wanted.

    Yields:
        The encoded bytes of each image.

    Raises:
        UserError: The archive is damaged or lacks an image.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in images:
                yield opened.read(name)
    except (zipfile.BadZipFile, zlib.error, KeyError) as error:
        raise UserError(f"{archive} is damaged ({error})", remedy=MEND) from error
