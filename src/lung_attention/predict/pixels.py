"""The pixels of a picture or a CT slice, as the models know them."""

from __future__ import annotations

import numpy as np

from lung_attention.data.sources.dicom import DicomError, hounsfield, window
from lung_attention.images.decode import Pixels, UnknownFormatError, UnreadableError, decode

_DICOM_MARK = slice(128, 132)


def read_pixels(content: bytes, hu_window: tuple[float, float] | None) -> Pixels:
    """Decodes an image as the models know them: 8 bits, RGB, upright.

    Args:
        content: The bytes of a JPEG, PNG, TIFF, BMP or DICOM file.
        hu_window: Level and width in HU of the window through which a DICOM slice is seen.

    Returns:
        uint8 `(height, width, 3)`; grey images have three equal channels.

    Raises:
        UnreadableError: It is none of these, or one that cannot be read rightly (see `read_image`).
    """
    if content[_DICOM_MARK] == b"DICM":
        return _read_dicom(content, hu_window)
    try:
        return decode(content)
    except UnknownFormatError as error:
        raise UnreadableError(f"{error}, nor DICOM") from error


def _read_dicom(content: bytes, hu_window: tuple[float, float] | None) -> Pixels:
    if hu_window is None:
        raise UnreadableError(
            "it is a CT slice in Hounsfield units, and the window of the model's images is not known: "
            "--window LEVEL WIDTH"
        )
    try:
        hu = hounsfield(content)
    except DicomError as error:
        raise UnreadableError(str(error)) from error
    level, width = hu_window
    return np.repeat(window(hu, level_hu=level, width_hu=width)[..., np.newaxis], 3, axis=2)
