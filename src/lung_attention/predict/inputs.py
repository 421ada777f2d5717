"""Images of anyone's: files, folders and zip archives, in the order in which people count."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from natsort import natsorted
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from lung_attention.data.archive import MAX_MEMBER_BYTES, MAX_PIXELS, open_archive
from lung_attention.data.sources.dicom import (
    DicomError,
    Slice,
    hounsfield,
    read_slice,
    stack_slices,
    window,
)
from lung_attention.errors import UserError

Pixels = npt.NDArray[np.uint8]

_PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")
_SLICES = (".dcm", ".ima", "")  # DICOM files often have no suffix
_FORMATS = ("JPEG", "PNG", "TIFF")
_DICOM_MARK = slice(128, 132)
_BITS_PER_SAMPLE = 258  # a tag of TIFF


class UnreadableError(Exception):
    """An input that is no image, or none that can be read rightly; the message says why."""


@dataclass(frozen=True)
class Input:
    """One input.

    Attributes:
        name: The path as it was given, with that inside a folder or archive.
        read: Reads its bytes; raises `UnreadableError`.
    """

    name: str
    read: Callable[[], bytes]


def find_inputs(paths: Iterable[Path]) -> Iterator[Input]:
    """Yields the images of paths, one by one.

    Args:
        paths: Files, folders or zip archives. What is named itself is tried whatever it is called; of folders
            and archives files count whose suffix is one of JPEG, PNG, TIFF or DICOM, or that have none.

    Yields:
        The inputs: path by path, in natural order (2 before 10), but DICOM slices of a folder or archive in
        the order of their positions, before its pictures. An archive that cannot be opened is an input that
        cannot be read.
    """
    for path in paths:
        if path.is_dir() or path.suffix.lower() == ".zip":
            yield from _inside(path)
        else:
            yield Input(str(path), partial(read_file, path))


def _inside(path: Path) -> Iterator[Input]:
    try:
        with open_archive(path) as (names, read):
            pictures = natsorted(name for name in names if _suffix(name) in _PICTURES)
            slices = [name for name in names if _suffix(name) in _SLICES]
            for name in [*_by_position(slices, read), *pictures]:
                yield Input(f"{path}/{name}", partial(guarded, read, name))
            if not pictures and not slices:
                yield _broken(path, f"it holds no file of {', '.join((*_PICTURES, '.dcm'))}")
    except UserError as error:
        yield _broken(path, error.problem)


def is_image_name(name: str) -> bool:
    """Whether the name of a file in a folder or archive is that of a picture or, perhaps, of a slice."""
    return _suffix(name) in (*_PICTURES, *_SLICES)


def _broken(path: Path, reason: str) -> Input:
    def refuse() -> bytes:
        raise UnreadableError(reason.removeprefix(f"{path}").removeprefix(":").strip())

    return Input(str(path), refuse)


def _suffix(name: str) -> str:
    file = name.rsplit("/", 1)[-1]
    return "hidden" if file.startswith(".") else Path(file).suffix.lower()


def guarded(read: Callable[[str], bytes], name: str) -> bytes:
    """Reads a member of a folder or archive.

    Raises:
        UnreadableError: It cannot be read.
    """
    try:
        return read(name)
    except UserError as error:
        raise UnreadableError(error.problem) from error


def read_file(path: Path) -> bytes:
    """Reads a file within limits.

    Raises:
        UnreadableError: It is too large, or cannot be read.
    """
    try:
        if (size := path.stat().st_size) > MAX_MEMBER_BYTES:
            raise UnreadableError(f"it has {size:,} bytes, more than {MAX_MEMBER_BYTES:,}")
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(str(error.strerror)) from error


def _by_position(names: Sequence[str], read: Callable[[str], bytes]) -> list[str]:
    """DICOM slices from one end of the body to the other; files that do not say where they lie come last."""
    placed: list[Slice] = []
    others: list[str] = []
    for name in natsorted(names):
        try:
            placed.append(read_slice(read(name), name))
        except (DicomError, UserError):
            others.append(name)
    try:
        return [*(one.file for one in stack_slices(placed).slices), *others]
    except DicomError:  # none, or slices of different directions
        return [*(one.file for one in placed), *others]


def read_pixels(content: bytes, hu_window: tuple[float, float] | None) -> Pixels:
    """Decodes an image as the models know them: 8 bits, RGB, upright.

    Args:
        content: The bytes of a JPEG, PNG, TIFF or DICOM file.
        hu_window: Level and width in HU of the window through which a DICOM slice is seen.

    Returns:
        uint8 `(height, width, 3)`; grey images have three equal channels.

    Raises:
        UnreadableError: It is none of these, damaged, too large, has several frames, more than 8 bits a
            channel or transparent parts: what such values mean to a model nobody can say.
    """
    if content[_DICOM_MARK] == b"DICM":
        return _read_dicom(content, hu_window)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(content), formats=_FORMATS)
        with opened as image:
            _refuse(image, content)
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ("LA", "PA", "RGBA") or "transparency" in upright.info:
                upright = upright.convert("RGBA")
                if upright.getchannel("A").getextrema() != (255, 255):
                    raise UnreadableError("parts of it are transparent")
            return np.asarray(upright.convert("RGB"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnreadableError(f"it has more than {MAX_PIXELS:,} pixels") from error
    except UnidentifiedImageError as error:
        raise UnreadableError("it is no JPEG, PNG, TIFF or DICOM file") from error
    except UnreadableError:
        raise
    except Exception as error:  # Pillow's readers raise whatever damage leads them to
        raise UnreadableError(f"it is damaged ({error})") from error


def _refuse(image: Image.Image, content: bytes) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableError(f"it has {width} × {height} pixels, more than {MAX_PIXELS:,} in all")
    if (frames := getattr(image, "n_frames", 1)) > 1:
        raise UnreadableError(f"it has {frames} frames, expected one image a file")
    bits: int | tuple[int, ...] = 8
    if image.format == "PNG":
        bits = content[24]  # of a sample; Pillow drops the lower byte of 16 bits in colour without a word
    elif isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, 8)
    most = max(bits) if isinstance(bits, tuple) else bits
    if most > 8 or image.mode.startswith(("I", "F")):
        raise UnreadableError(
            f"it has {most} bits a channel, and by which window it becomes 8 is not known; give the DICOM "
            "file"
        )


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
    if hu.size > MAX_PIXELS:
        raise UnreadableError(f"it has {hu.shape[1]} × {hu.shape[0]} pixels, more than {MAX_PIXELS:,} in all")
    level, width = hu_window
    return np.repeat(window(hu, level_hu=level, width_hu=width)[..., np.newaxis], 3, axis=2)
