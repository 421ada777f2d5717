"""A CT series as DICOM files hold it: slices in the order of their positions, Hounsfield units, grey values.

Nothing here trusts file names or instance numbers for the order of slices: PS3.3 C.7.6.2.1.1 defines where a
slice lies by Image Position and Image Orientation (Patient), and neither numbers nor names need follow that.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels.utils import pixel_array
from pydicom.uid import DeflatedExplicitVRLittleEndian

from lung_attention.images.decode import MAX_PIXELS

# Slices whose positions along the normal differ by less than this lie at the same place; in mm.
_SAME_PLACE_MM = 1e-3

# Direction cosines are written with about six digits.
_SAME_DIRECTION = 1e-3

# A step this much longer than the usual one has room for a slice that is not there.
_GAP_STEPS = 1.5


class DicomError(Exception):
    """A file that is no readable CT slice; the message says why, the caller knows which file it is."""


@dataclass(frozen=True)
class Slice:
    """Where one slice lies.

    Attributes:
        file: The file that holds it.
        position_mm: Centre of the first pixel in the patient's coordinates (x, y, z).
        normal: Unit vector across the slice, its largest component positive: if axial, towards the head.
        spacing_mm: Distance between the centres of neighbouring rows, and of neighbouring columns.
        number: Instance number; None where absent.
    """

    file: str
    position_mm: tuple[float, float, float]
    normal: tuple[float, float, float]
    spacing_mm: tuple[float, float]
    number: int | None

    @property
    def along_mm(self) -> float:
        """Signed distance of the slice from the origin along its normal."""
        return float(np.dot(self.position_mm, self.normal))


@dataclass(frozen=True)
class Gap:
    """A place where slices are missing.

    Attributes:
        after: Slices before the gap, counted along the normal.
        missing: How many slices fit into it.
    """

    after: int
    missing: int


@dataclass(frozen=True)
class Stack:
    """The slices of a series in the order of their positions.

    Attributes:
        slices: Along the normal; for the usual axial series from the feet to the head.
        step_mm: The usual (median) distance of neighbouring slices; 0 for a single slice.
        gaps: Where slices are missing.
        repeated: Files of slices at a place where another slice lies already.
        numbered: 1 where instance numbers grow along the normal, -1 where they grow against it, 0 where
            they do neither.
    """

    slices: tuple[Slice, ...]
    step_mm: float
    gaps: tuple[Gap, ...]
    repeated: tuple[str, ...]
    numbered: int


def read_slice(content: bytes, file: str) -> Slice:
    """Where the slice of a file lies.

    Args:
        content: The file, or its beginning up to the pixels at least.
        file: What the slice is to call it.

    Returns:
        The slice.

    Raises:
        DicomError: The content is no DICOM, is cut short before the pixels, holds several frames, or does not
            say where it lies.
    """
    with _reading("it is no complete DICOM file"):
        dataset = _opened(content, stop_before_pixels=True)
        position = _numbers(dataset, "ImagePositionPatient", 3)
        orientation = _numbers(dataset, "ImageOrientationPatient", 6)
        spacing = _numbers(dataset, "PixelSpacing", 2)
        number = dataset.get("InstanceNumber")
        normal = np.cross(orientation[:3], orientation[3:])
        length = float(np.linalg.norm(normal))
        if abs(length - 1) > _SAME_DIRECTION or min(spacing) <= 0:
            raise DicomError(f"its orientation {orientation} or pixel spacing {spacing} is impossible")
        # The cross product points to the feet where rows or columns are mirrored.
        x, y, z = (float(value) for value in normal / (length * np.sign(normal[np.abs(normal).argmax()])))
        return Slice(
            file=file,
            position_mm=(position[0], position[1], position[2]),
            normal=(x, y, z),
            spacing_mm=(spacing[0], spacing[1]),
            number=None if number is None else int(number),
        )


def stack_slices(slices: Iterable[Slice]) -> Stack:
    """Slices of a series in order, with what is missing or repeated among them.

    Args:
        slices: In any order.

    Returns:
        The stack.

    Raises:
        DicomError: There is no slice, or two slices do not lie parallel.
    """
    # Among slices at one place the instance number decides, so that the order never is a matter of chance.
    ordered = sorted(slices, key=lambda each: (each.along_mm, each.number or 0, each.file))
    if not ordered:
        raise DicomError("the series has no slice")
    for each in ordered[1:]:
        if not np.allclose(each.normal, ordered[0].normal, atol=_SAME_DIRECTION):
            raise DicomError(f"{each.file} does not lie parallel to {ordered[0].file}")
    steps = np.diff([each.along_mm for each in ordered])
    apart = steps[steps > _SAME_PLACE_MM]
    step_mm = float(np.median(apart)) if apart.size else 0.0
    gaps = tuple(
        Gap(after=index + 1, missing=round(step / step_mm) - 1)
        for index, step in enumerate(steps)
        if step > _GAP_STEPS * step_mm > 0
    )
    repeated = tuple(ordered[index + 1].file for index, step in enumerate(steps) if step <= _SAME_PLACE_MM)
    return Stack(tuple(ordered), step_mm, gaps, repeated, _numbered(ordered))


def hounsfield(content: bytes) -> npt.NDArray[np.float64]:
    """Hounsfield units of a slice.

    The rescale slope and intercept lead from stored values to Hounsfield units (PS3.3 C.11.1). The
    photometric interpretation has no part in that: MONOCHROME1 asks a display to show the lowest value as
    white (C.7.6.3.1.2), and says nothing about what the values mean.

    Args:
        content: The whole file, in any transfer syntax that pydicom decodes, but for the deflated one.

    Returns:
        (rows, columns) in HU.

    Raises:
        DicomError: The file is damaged or cut short, holds several frames or too many pixels, is no grey
            image or does not say how to rescale.
    """
    with _reading("it is no complete DICOM file"):
        dataset = _opened(content)
        rows, columns = (int(dataset.get(name) or 0) for name in ("Rows", "Columns"))
        if rows * columns > MAX_PIXELS:
            raise DicomError(f"it has {columns} × {rows} pixels, more than {MAX_PIXELS:,} in all")
        photometric = dataset.get("PhotometricInterpretation")
        if photometric not in ("MONOCHROME1", "MONOCHROME2"):
            raise DicomError(f"its pixels are {photometric}, expected grey ones")
        if dataset.get("RescaleSlope") is None or dataset.get("RescaleIntercept") is None:
            raise DicomError("it does not say how stored values lead to Hounsfield units (RescaleSlope)")
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    with _reading("its pixels cannot be decoded"):
        return np.asarray(pixel_array(dataset, index=0), dtype=np.float64) * slope + intercept


def window(hu: npt.NDArray[np.float64], *, level_hu: float, width_hu: float) -> npt.NDArray[np.uint8]:
    """Grey values of Hounsfield units by DICOM's linear window (PS3.3 C.11.2.1.2.1).

    With level c and width w, black up to c - 0.5 - (w - 1) / 2, white above c - 0.5 + (w - 1) / 2, and
    ((x - (c - 0.5)) / (w - 1) + 0.5) * 255 between, rounded to the nearest grey, halves up (the standard
    leaves rounding open).

    Args:
        hu: Any shape, in HU.
        level_hu: The window's centre c.
        width_hu: Its width w, more than 1.

    Returns:
        The same shape, 0-255.
    """
    ramp = ((hu - (level_hu - 0.5)) / (width_hu - 1) + 0.5) * 255
    return np.floor(np.clip(ramp, 0, 255) + 0.5).astype(np.uint8)


def png(grey: npt.NDArray[np.uint8]) -> bytes:
    """PNG of a grey image (rows, columns), without loss."""
    stream = io.BytesIO()
    Image.fromarray(grey).save(stream, format="PNG")
    return stream.getvalue()


@contextmanager
def _reading(problem: str) -> Iterator[None]:
    """Turns whatever a damaged file leads pydicom to into a `DicomError`: it reads values when asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values written against the rules, which LIDC-IDRI has too
        try:
            yield
        except DicomError:
            raise
        except Exception as error:
            raise DicomError(f"{problem} ({error})") from error


def _opened(content: bytes, *, stop_before_pixels: bool = False) -> Dataset:
    """Reads a file of one slice."""
    stream = io.BytesIO(content)
    read_preamble(stream, force=False)
    # The elements of group 2, which are never compressed, say how all others are written.
    about = read_dataset(stream, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
    if about.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        # pydicom inflates it without a bound: a small file may fill the memory.
        raise DicomError("it is deflated as a whole, expected at most compressed pixels")
    dataset = dcmread(io.BytesIO(content), stop_before_pixels=stop_before_pixels)
    # No CT series of LIDC-IDRI is kept in frames; places and rescaling would stand elsewhere in such a file.
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1 or dataset.get("PerFrameFunctionalGroupsSequence"):
        raise DicomError(f"it is a multi-frame file ({frames} frames), expected one slice a file")
    return dataset


def _numbers(values: Dataset, keyword: str, count: int) -> list[float]:
    value = values.get(keyword)
    if value is None:
        raise DicomError(f"its {keyword} is missing")
    numbers = [float(each) for each in value]
    if len(numbers) != count or not np.all(np.isfinite(numbers)):
        raise DicomError(f"its {keyword} is {numbers}, expected {count} numbers")
    return numbers


def _numbered(ordered: list[Slice]) -> int:
    numbers = [each.number for each in ordered if each.number is not None]
    if len(numbers) < len(ordered) or len(numbers) < 2:
        return 0
    steps = np.diff(numbers)
    return 1 if np.all(steps > 0) else -1 if np.all(steps < 0) else 0
