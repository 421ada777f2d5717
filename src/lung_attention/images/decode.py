"""Decoding images, what an image may be, and the thumbnails in which images are compared."""

from __future__ import annotations

import io
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from lung_attention.errors import UserError
from lung_attention.files import MEND

THUMBNAIL_SIZE_PX = 64

# The largest image of a release has 768 x 768 pixels. Beyond this, decoding takes memory for no use.
MAX_PIXELS = 4096 * 4096

FORMATS = ("JPEG", "PNG", "TIFF", "BMP")
"""Pillow knows others, some of which start programs, such as PostScript."""

Pixels = npt.NDArray[np.uint8]

# By Pillow's mode, the mode it becomes. CMYK goes by the plain formula, without a profile of inks.
_MODES = {"1": "L", "L": "L"} | dict.fromkeys(("P", "RGB", "CMYK", "YCbCr", "LA", "PA", "RGBA"), "RGB")
_PNG_HEADER, _PNG_BITS = slice(12, 16), 24
_TIFF_BITS, _TIFF_SAMPLE_FORMAT = 258, 339


class UnreadableError(Exception):
    """A file that is no image, or none that can be read rightly; the message says what it is instead."""


class UnknownFormatError(UnreadableError):
    """A file in none of `FORMATS`."""


def decode(content: bytes) -> Pixels:
    """Decodes an encoded image.

    Args:
        content: The bytes of an image file.

    Returns:
        uint8 `(height, width, 3)`, RGB; grey images have three equal channels.

    Raises:
        UnreadableError: See `read_image`.
    """
    return np.asarray(read_image(content).convert("RGB"))


def thumbnail(content: bytes) -> Pixels:
    """Averages an encoded image down to a thumbnail.

    Results of the near-duplicate search depend on this representation, so it is fixed: Pillow's box filter,
    every image squeezed to a square.

    Args:
        content: The bytes of an image file.

    Returns:
        uint8 `(64, 64, 3)`, RGB.

    Raises:
        UnreadableError: See `read_image`.
    """
    size = (THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX)
    return np.asarray(read_image(content).convert("RGB").resize(size, Image.Resampling.BOX))


def read_image(content: bytes) -> Image.Image:
    """Reads an image as all of this package knows images: 8 bits a channel, grey or RGB, upright.

    Fewer bits a sample are spread over 0 to 255, palettes and CMYK become RGB, an alpha channel that hides
    nothing is dropped, the EXIF orientation is followed. Profiles of colours are not applied.

    Args:
        content: The bytes of an image file.

    Returns:
        An image of mode "L" or "RGB".

    Raises:
        UnreadableError: It is no image (`UnknownFormatError`), damaged, too large, or of several frames; it
            has more than 8 bits a channel, signed values, colours of another kind or transparent parts: what
            such values mean to a model nobody can say.
    """
    with open_image(content) as image:
        if (bits := _bits(image, content)) > 8:
            raise UnreadableError(
                f"it has {bits} bits a channel, expected 8: which window makes them 8 is not known"
            )
        if image.mode not in _MODES:
            raise UnreadableError(f"its colours are {image.mode}, expected grey, RGB, a palette or CMYK")
        mode = _MODES[image.mode]
        if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
            image = image.convert("RGBA")
            if image.getchannel("A").getextrema() != (255, 255):
                raise UnreadableError("parts of it are transparent, expected an opaque image")
        return image if image.mode == mode else image.convert(mode)


@contextmanager
def open_image(content: bytes) -> Iterator[Image.Image]:
    """Opens an image of any depth and colour, within limits.

    Args:
        content: The bytes of an image file.

    Yields:
        The image, loaded and upright.

    Raises:
        UnreadableError: It is no image (`UnknownFormatError`), damaged, too large, or of several frames.
    """
    try:
        with warnings.catch_warnings():
            # Pillow only warns of an image large enough to be a decompression bomb.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = opened.size
        if width * height > MAX_PIXELS:
            raise UnreadableError(f"it has {width} x {height} pixels, more than {MAX_PIXELS:,} in all")
        if (frames := getattr(opened, "n_frames", 1)) > 1:
            raise UnreadableError(f"it has {frames} frames, expected one image a file")
        ImageOps.exif_transpose(opened, in_place=True)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(f"it has more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise UnknownFormatError(f"it is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} file") from error
    except UnreadableError:
        raise
    except Exception as error:  # Pillow's readers raise whatever damage leads them to
        raise UnreadableError(f"it is damaged ({error})") from error
    with opened as image:
        yield image


def _bits(image: Image.Image, content: bytes) -> int:
    """Bits of a sample as the file has them: of 16 in colour, Pillow drops the lower 8 without a word.

    Raises:
        UnreadableError: The samples are signed, which Pillow would not tell either.
    """
    bits: int | tuple[int, ...] = 8
    if image.format == "PNG":
        if content[_PNG_HEADER] != b"IHDR":
            raise UnreadableError("it is damaged (its header does not come first)")
        bits = content[_PNG_BITS]
    elif isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(_TIFF_BITS, 1)
        if 2 in image.tag_v2.get(_TIFF_SAMPLE_FORMAT, (1,)):
            raise UnreadableError("its values are signed, expected 0 to 255")
    return max(bits) if isinstance(bits, tuple) else bits


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
