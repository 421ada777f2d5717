"""Synthetic tiles for measurements: as many as wanted, each original in several copies as in LC25000."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

_CLASSES = ("lung_aca", "lung_n", "lung_scc")
_DETAIL_PX = 24


def original(number: int, side_px: int) -> npt.NDArray[np.uint8]:
    """A smooth random picture in colours of its own, uint8 `(side_px, side_px, 3)`."""
    random = np.random.default_rng(number)
    detail = random.normal(0, 45, (_DETAIL_PX, _DETAIL_PX, 3)) + random.uniform(60, 200, 3)
    coarse = Image.fromarray(np.clip(detail, 0, 255).astype(np.uint8))
    return np.asarray(coarse.resize((side_px, side_px), Image.Resampling.BICUBIC))


def encoded(number: int, side_px: int, *, copies: int) -> bytes:
    """The JPEG of a picture: one of the copies of an original, turned and brought back to its size."""
    picture = Image.fromarray(original(number // copies, side_px))
    degrees = float(np.random.default_rng((number, 1)).uniform(-20, 20))
    margin = side_px // 5
    turned = picture.rotate(degrees, Image.Resampling.BILINEAR)
    inside = turned.crop((margin, margin, side_px - margin, side_px - margin))
    stream = io.BytesIO()
    inside.resize((side_px, side_px), Image.Resampling.BILINEAR).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def write_archive(path: Path, images: int, side_px: int, *, copies: int) -> None:
    """Writes a zip in the layout of LC25000, its classes in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(images):
            folder = _CLASSES[number // copies % len(_CLASSES)]
            name = f"lung_colon_image_set/lung_image_sets/{folder}/{folder}{number + 1}.jpeg"
            archive.writestr(name, encoded(number, side_px, copies=copies))


def write_folder(folder: Path, images: int, side_px: int, *, distinct: int, each: int) -> None:
    """Writes many files: hard links to a few distinct pictures, so many a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = []
    for number in range(min(distinct, images)):
        source = folder.parent / f"distinct-{number}.jpeg"
        source.write_bytes(encoded(number, side_px, copies=1))
        sources.append(source)
    for number in range(images):
        if number % each == 0:
            (folder / f"{number // each:04d}").mkdir(exist_ok=True)
        (folder / f"{number // each:04d}" / f"{number:07d}.jpeg").hardlink_to(sources[number % len(sources)])
