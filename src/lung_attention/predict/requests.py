"""What a served model is asked: encoded images, all of which it answers, or none."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE

from lung_attention.data.limits import MAX_MEMBER_BYTES
from lung_attention.images.decode import Pixels, UnreadableError
from lung_attention.predict.pixels import read_pixels

COLUMN = "image"
"""Of encoded images: the bytes of JPEG, PNG, TIFF, BMP or DICOM files, in base64 over HTTP."""

MOST_IMAGES = 64
"""Of one request: more would hold up everybody else."""


def asked(table: pd.DataFrame, hu_window: tuple[float, float] | None) -> Iterator[Pixels]:
    """Decodes the images of a request one by one, so that one at a time takes memory.

    Args:
        table: A column `image`.
        hu_window: Level and width in HU of the window through which a DICOM slice is seen.

    Yields:
        uint8 `(height, width, 3)`.

    Raises:
        MlflowException: There are too many images, or one cannot be read rightly; it becomes an answer 400.
    """
    if len(table) > MOST_IMAGES:
        raise _refused(f"expected at most {MOST_IMAGES} images a request, received {len(table)}")
    for number, content in enumerate(table[COLUMN]):
        if not isinstance(content, bytes):
            raise _refused(f"image {number}: expected bytes, received {type(content).__name__}")
        if len(content) > MAX_MEMBER_BYTES:
            raise _refused(f"image {number}: it has {len(content):,} bytes, more than {MAX_MEMBER_BYTES:,}")
        try:
            yield read_pixels(content, hu_window)
        except UnreadableError as error:
            raise _refused(f"image {number}: {error}") from error


def _refused(reason: str) -> MlflowException:
    return MlflowException(reason, error_code=INVALID_PARAMETER_VALUE)
