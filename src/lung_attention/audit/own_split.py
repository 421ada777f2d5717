"""The audit of anyone's own images and split, given as a table."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lung_attention.audit.dataset import audit
from lung_attention.audit.leaks import Json
from lung_attention.audit.text import markdown
from lung_attention.errors import UserError
from lung_attention.files import read_table
from lung_attention.images.decode import THUMBNAIL_SIZE_PX, thumbnail

_COLUMNS = ("path", "label", "subset")
_SUBSETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_EXAMPLE = "a CSV file with the columns path,label,subset and optionally group, one row an image"


def run_audit_command(
    table_path: Path, *, near_duplicate_cosine: float, near_duplicates_leak: bool, listed: int
) -> tuple[Json, str, int]:
    """Audits the images and the split of a table.

    Args:
        table_path: CSV with the columns path,label,subset and optionally group. Relative paths are taken from
            the table's folder. Subsets are train, validation (valid, val, dev) and test, in any case.
        near_duplicate_cosine: See `audit`.
        near_duplicates_leak: See `audit`.
        listed: See `audit`.

    Returns:
        The audit, its Markdown text, and the exit code: 1 when there is a leak, else 0.

    Raises:
        UserError: The cosine is none, or the table, one of its rows or one of its images cannot be read.
    """
    if not 0 < near_duplicate_cosine <= 1:
        raise UserError(
            f"--cosine: expected a number above 0 and at most 1, received {near_duplicate_cosine:g}",
            remedy="--cosine 0.98",
        )
    if not table_path.is_file():
        raise UserError(f"there is no table {table_path}", remedy=f"give {_EXAMPLE}")
    try:
        images = read_table(table_path, text=(*_COLUMNS, "group"))
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise UserError(f"{table_path} cannot be read as CSV: {error}", remedy=f"give {_EXAMPLE}") from error
    manifest, thumbnails, split = audit_table(images, folder=table_path.parent)
    found = audit(
        manifest,
        thumbnails,
        manifest["group"].tolist(),
        {"table": split},
        near_duplicate_cosine=near_duplicate_cosine,
        near_duplicates_leak=near_duplicates_leak,
        group_unit="group column of the table",
        listed=listed,
    )
    leak = any(one["leak"] for one in found["splits"].values())
    return found, markdown(found), int(leak)


def audit_table(
    images: pd.DataFrame, *, folder: Path
) -> tuple[pd.DataFrame, NDArray[np.uint8], pd.DataFrame]:
    """Reads the images of a table into what the audit takes.

    Args:
        images: path,label,subset and optionally group, all text.
        folder: Where relative paths start.

    Returns:
        The manifest, thumbnails `(n, 64, 64, 3)` uint8, and the split table.

    Raises:
        UserError: A column is missing, a row is incomplete or has an unknown subset, all rows have one
            subset, or an image is missing or unreadable.
    """
    missing = [name for name in _COLUMNS if name not in images.columns]
    if missing:
        raise UserError(
            f"the table lacks the column {', '.join(missing)}. "
            f"Received: {', '.join(map(str, images.columns))}",
            remedy=f"give {_EXAMPLE}",
        )
    groups = images["group"] if "group" in images.columns else pd.Series("", index=images.index)
    rows = []
    thumbnails = np.empty((len(images), THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX, 3), dtype=np.uint8)
    table = zip(images["path"], images["label"], images["subset"], groups, strict=True)
    for number, (path, label, subset, group) in enumerate(table):
        line = number + 2  # as an editor counts, with the header in line 1
        if not path or not label:
            raise UserError(f"line {line} of the table has no path or no label", remedy="complete the row")
        if subset.strip().lower() not in _SUBSETS:
            raise UserError(
                f"line {line} of the table: expected a subset of {', '.join(_SUBSETS)}. Received: {subset!r}",
                remedy="correct the column subset",
            )
        content, (width, height), thumbnails[number] = _read(folder / path, line)
        rows.append(
            {
                "image": path,
                "label": label,
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "width": width,
                "height": height,
                "group": group,
                "subset": _SUBSETS[subset.strip().lower()],
            }
        )
    manifest = pd.DataFrame(rows)
    if len(rows) == 0 or manifest["subset"].nunique() < 2:
        raise UserError(
            "the table has fewer than two subsets, so nothing can leak between them",
            remedy=f"give {_EXAMPLE}, with train and test among the subsets",
        )
    split = manifest[["image", "label", "group"]].assign(fold=0, subset=manifest["subset"])
    return manifest.drop(columns="subset"), thumbnails, split


def _read(path: Path, line: int) -> tuple[bytes, tuple[int, int], NDArray[np.uint8]]:
    """Reads an image: its bytes, its width and height in pixels, and its thumbnail."""
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            size = image.size
        return content, size, thumbnail(_eight_bit(content))
    except FileNotFoundError as error:
        raise UserError(
            f"line {line} of the table: there is no image {path}",
            remedy="correct the path; relative ones are taken from the table's folder",
        ) from error
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"line {line} of the table: {path} cannot be read as an image ({error})",
            remedy="replace the file or take the row out",
        ) from error


def _eight_bit(content: bytes) -> bytes:
    """Scales a grey image of more than 8 bits from its darkest to its brightest value onto 0 to 255.

    Pillow would cut all values above 255 off: all 16-bit CT slices would be white and look the same.

    Args:
        content: The bytes of an image file.

    Returns:
        The same bytes where the image has 8 bits a channel or fewer, else those of a PNG.
    """
    with Image.open(io.BytesIO(content)) as image:
        if not image.mode.startswith(("I", "F")):
            return content
        values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    stream = io.BytesIO()
    Image.fromarray(np.round(scaled).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()
