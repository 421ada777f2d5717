"""The manifest: a verified row an image, and the archive of just these images."""

from __future__ import annotations

import hashlib
import io
import re
import warnings
import zipfile
from pathlib import Path

import pandas as pd
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from lung_attention.data.archive import MAX_PIXELS, find_members, open_archive, require_counts
from lung_attention.data.catalog import Dataset
from lung_attention.errors import UserError
from lung_attention.files import replacing, write_table

COLUMNS = ("image", "label", "bytes", "sha256", "width", "height", "group")

# The earliest time a zip can hold: the archive's bytes must not depend on the day it is written.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)

# What the public archives hold. Pillow knows formats that start other programs, such as PostScript.
_FORMATS = ("JPEG", "PNG")

_NODULE = re.compile(r"(LIDC-IDRI-\d{4})_")
_SLICE = re.compile(r"(?:(\d+)-\d{3} \(\d+\)|1-\d+)\.dcm\.png", re.IGNORECASE)


def patient_of(dataset_id: str, image: str, label: str) -> str:
    """The patient that an image's name gives, or an empty string where names give none.

    In the paper's LIDC subset `<p>-001 (<k>).dcm.png` is slice k of patient p, and `1-<k>.dcm.png` is patient
    0001 under `malignant` but patient 0100 under `benign` (inferred from slice counts).

    Args:
        dataset_id: The dataset.
        image: The image's path below the release's top folder.
        label: Its class.

    Returns:
        A patient as LIDC-IDRI writes it, such as `LIDC-IDRI-0174`, or "".

    Raises:
        UserError: The dataset's names give patients, but this one does not follow the pattern.
    """
    name = image.rsplit("/", 1)[-1]
    if dataset_id == "lidc":
        if match := _SLICE.fullmatch(name):
            number = match[1] or ("1" if label == "malignant" else "100")
            return f"LIDC-IDRI-{int(number):04d}"
    elif dataset_id == "lidc_nodules":
        if match := _NODULE.match(name):
            return match[1]
    else:
        return ""
    raise UserError(
        f"image {image!r} does not tell its patient; expected a name like "
        + ("'174-001 (12).dcm.png'" if dataset_id == "lidc" else "'LIDC-IDRI-0004_nodule-0_slice-2.png'"),
        remedy=f"restore the file names of the {dataset_id} archive",
    )


def import_archive(
    source: Path, dataset: Dataset, *, archive: Path, manifest: Path, check_counts: bool
) -> pd.DataFrame:
    """Verifies a dataset's source and writes its archive and manifest, or neither.

    Every image is decoded once. The written archive holds the original bytes under the names of the
    manifest, uncompressed (the images are compressed already), in the manifest's order.

    Args:
        source: The zip file or unpacked folder.
        dataset: What it should hold.
        archive: Where the archive is written.
        manifest: Where the manifest is written.
        check_counts: Whether each class must have as many images as the public release.

    Returns:
        The manifest, with the columns of `COLUMNS`.

    Raises:
        UserError: The source is damaged or incomplete, or an image is unreadable; the message names it.
    """
    rows = []
    with open_archive(source) as (names, read), replacing(archive) as temporary:
        members = find_members(names, dataset, path=source)
        if check_counts:
            require_counts(members, dataset, path=source)
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as written:
            for member in tqdm(members, desc=f"verify {dataset.id}", unit="image", mininterval=1):
                content = read(member.source)
                width, height = _size(content, source, member.source)
                written.writestr(zipfile.ZipInfo(member.image, _ZIP_TIME), content)
                rows.append(
                    (
                        member.image,
                        member.label,
                        len(content),
                        hashlib.sha256(content).hexdigest(),
                        width,
                        height,
                        patient_of(dataset.id, member.image, member.label),
                    )
                )
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        write_table(manifest, table)
    return table


def _size(content: bytes, source: Path, name: str) -> tuple[int, int]:
    """Width and height in pixels of an 8-bit image that decodes without error."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns of an image large enough to be a decompression bomb.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise ValueError(f"{image.width} x {image.height} pixels, more than {MAX_PIXELS:,}")
                image.load()
                mode, size = image.mode, image.size
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombWarning,
            Image.DecompressionBombError) as error:  # fmt: skip
        raise UserError(
            f"{source}: image {name!r} cannot be read ({error})", remedy="fetch the archive again"
        ) from error
    if mode.startswith(("I", "F")):
        raise UserError(
            f"{source}: image {name!r} has more than 8 bits a channel (mode {mode}), "
            "of which all above 255 would be lost",
            remedy="save it with 8 bits, after windowing where it is a CT slice",
        )
    return size
