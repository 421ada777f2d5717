"""The audit of anyone's own images and split, given as a table."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lung_attention.audit.dataset import audit
from lung_attention.audit.folder import SUBSETS, table_of_folder
from lung_attention.audit.leaks import Json
from lung_attention.audit.settings import ShortcutTest
from lung_attention.audit.shortcuts import Files, find_shortcuts
from lung_attention.audit.text import markdown
from lung_attention.audit.twins import disputed_text, twins, twins_text
from lung_attention.data.limits import read_limited
from lung_attention.data.unreadable import SOME_UNREADABLE
from lung_attention.errors import UserError
from lung_attention.files import read_table
from lung_attention.images.decode import THUMBNAIL_SIZE_PX, UnreadableError, open_image, thumbnail
from lung_attention.images.encoding import encoding

_COLUMNS = ("path", "label")
_EXAMPLE = "a CSV file with the columns path,label and optionally subset and group, one row an image"


def run_audit_command(
    source: Path,
    *,
    split_path: Path | None = None,
    near_duplicate_cosine: float,
    near_duplicates_leak: bool,
    listed: int,
    shortcut_test: ShortcutTest,
) -> tuple[Json, str, int]:
    """Audits the images and the split of a table or a folder.

    Args:
        source: CSV with the columns path,label and optionally subset and group. Relative paths are taken
            from the table's folder. Subsets are train, validation (valid, val, dev) and test, in any case;
            without them there is no split, and the images alone are audited. Or a folder, see
            `table_of_folder`.
        split_path: CSV with the columns path,subset and optionally group, of a folder's images.
        near_duplicate_cosine: See `audit`.
        near_duplicates_leak: See `audit`.
        listed: See `audit`.
        shortcut_test: How shortcuts are told from chance.

    Returns:
        The audit of the images that can be read, under `pairs` with all twins (see `twins`) and under
        `unreadable` with the others, `[{"file", "reason"}, …]`; its Markdown text; and the exit code: 1 when
        there is a leak, which a shortcut is not, else `SOME_UNREADABLE` or 0.

    Raises:
        UserError: The cosine, alpha, permutations or seed are none, or the table, one of its rows or all of
            its images cannot be read.
    """
    if not 0 < near_duplicate_cosine <= 1:
        raise UserError(
            f"--cosine: expected a number above 0 and at most 1, received {near_duplicate_cosine:g}",
            remedy="--cosine 0.98",
        )
    if not 0 < shortcut_test.alpha < 1:
        raise UserError(
            f"--alpha: expected a number between 0 and 1, received {shortcut_test.alpha:g}",
            remedy="--alpha 0.05",
        )
    for option, value, least in (
        ("permutations", shortcut_test.permutations, 1),
        ("seed", shortcut_test.seed, 0),
    ):
        if value < least:
            raise UserError(
                f"--{option}: expected at least {least}, received {value}", remedy=f"--{option} {least}"
            )
    if source.is_dir():
        split = None if split_path is None else _table(split_path)
        if split is not None and "subset" in split.columns:
            _require_subsets(split["subset"])  # while its rows are those of the file
        images = table_of_folder(source, split)
    elif split_path is not None:
        raise UserError(f"--split goes with a folder, and {source} is none", remedy="leave --split out")
    else:
        images = _table(source)
    folder = source if source.is_dir() else source.parent
    manifest, thumbnails, splits, unreadable = audit_table(images, folder=folder)
    # By what the files hold, so that chance does not depend on the order of rows or on where the files lie.
    order = manifest["sha256"].argsort(kind="stable").to_numpy()
    ordered = manifest.iloc[order]
    files = Files(
        sizes=ordered[["width", "height"]].to_numpy(),
        encodings=ordered["encoding"].to_numpy(dtype=object),
        thumbnails=thumbnails[order],
    )
    found = audit(
        manifest,
        thumbnails,
        manifest["group"].tolist(),
        splits,
        near_duplicate_cosine=near_duplicate_cosine,
        near_duplicates_leak=near_duplicates_leak,
        group_unit="group column of the table",
        groups_inferred=False,
        listed=listed,
        shortcuts=find_shortcuts(files, ordered["label"], ordered["group"], shortcut_test),
    )
    pairs = twins(
        manifest["image"].tolist(),
        splits["table"]["subset"].tolist() if splits else [""] * len(manifest),
        manifest["sha256"].tolist(),
        thumbnails,
        cosine=near_duplicate_cosine,
    )
    found["pairs"] = pairs.astype(object).where(pairs.notna(), None).to_dict("records")
    found["unreadable"] = unreadable
    text = (
        markdown(found)
        + disputed_text(found["contradictory"]["sets"])
        + twins_text(pairs, listed=listed)
        + _unreadable_text(unreadable, of=len(images), listed=listed)
    )
    if any(one["leak"] for one in found["splits"].values()):
        return found, text, 1
    return found, text, SOME_UNREADABLE if unreadable else 0


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise UserError(f"there is no table or folder {path}", remedy=f"give {_EXAMPLE}, or a folder")
    if path.suffix.lower() == ".zip":
        raise UserError(f"{path} is an archive", remedy="unpack it, and give the folder")
    try:
        return read_table(path, text=(*_COLUMNS, "subset", "group"))
    except UserError as error:
        raise UserError(error.problem, remedy=f"give {_EXAMPLE}") from error


def audit_table(
    images: pd.DataFrame, *, folder: Path
) -> tuple[pd.DataFrame, NDArray[np.uint8], dict[str, pd.DataFrame], list[dict[str, str]]]:
    """Reads the images of a table into what the audit takes.

    Args:
        images: path,label and optionally subset and group, all text.
        folder: Where relative paths start.

    Returns:
        Of the images that can be read the manifest with a column `encoding`, thumbnails `(n, 64, 64, 3)`
        uint8, and the split table under the name "table", or none where no subset is given; of the others
        file and reason.

    Raises:
        UserError: A column is missing, there is no row, a row is incomplete or has an unknown subset, all
            images have one subset, or none can be read.
    """
    missing = [name for name in _COLUMNS if name not in images.columns]
    if missing:
        raise UserError(
            f"the table lacks the column {', '.join(missing)}. "
            f"Received: {', '.join(map(str, images.columns))}",
            remedy=f"give {_EXAMPLE}",
        )
    nothing = pd.Series("", index=images.index)
    has_subsets = "subset" in images.columns
    _require_rows(images)
    table = images.assign(subset=_spelled(images.get("subset", nothing)), group=images.get("group", nothing))
    rows: list[dict[str, Any]] = []
    unreadable = []
    thumbnails = np.empty((len(table), THUMBNAIL_SIZE_PX, THUMBNAIL_SIZE_PX, 3), dtype=np.uint8)
    for row in table.to_dict("records"):
        try:
            content, (width, height), thumbnails[len(rows)] = _read(folder / row["path"])
        except UnreadableError as error:
            unreadable.append({"file": row["path"], "reason": str(error)})
            continue
        rows.append(
            {
                "image": row["path"],
                "label": row["label"],
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "width": width,
                "height": height,
                "group": row["group"],
                "encoding": encoding(content),
                "subset": SUBSETS.get(row["subset"]),
            }
        )
    if not rows:
        first = unreadable[0]
        raise UserError(
            f"none of {len(unreadable):,} images can be read, such as {folder / first['file']}: "
            f"{first['reason']}",
            remedy="correct the paths; relative ones are taken from the table's folder",
        )
    manifest, thumbnails = pd.DataFrame(rows), thumbnails[: len(rows)]
    if not has_subsets:
        return manifest.drop(columns="subset"), thumbnails, {}, unreadable
    if manifest["subset"].nunique() < 2:
        raise UserError(
            "the table has fewer than two subsets of readable images, so nothing can leak between them"
            + _unreadable_text(unreadable, of=len(table), listed=len(unreadable)),
            remedy="name train and test among the subsets, or leave the column out",
        )
    split = manifest[["image", "label", "group"]].assign(fold=0, subset=manifest["subset"])
    return manifest.drop(columns="subset"), thumbnails, {"table": split}, unreadable


_FIRST_LINE = 2  # as an editor counts, with the header in line 1


def _require_rows(table: pd.DataFrame) -> None:
    """Refuses a table without rows or with an incomplete one, before its images are read."""
    if table.empty:
        raise UserError("the table has no row", remedy=f"give {_EXAMPLE}")
    for line, (path, label) in enumerate(zip(table["path"], table["label"], strict=True), _FIRST_LINE):
        if not path or not label:
            raise UserError(f"line {line} of the table has no path or no label", remedy="complete the row")
    if "subset" in table.columns:
        _require_subsets(table["subset"])


def _require_subsets(subsets: pd.Series) -> None:
    for line, (subset, spelled) in enumerate(zip(subsets, _spelled(subsets), strict=True), _FIRST_LINE):
        if spelled not in SUBSETS:
            raise UserError(
                f"line {line} of the table: expected a subset of {', '.join(SUBSETS)}. Received: {subset!r}",
                remedy="correct the column subset",
            )


def _spelled(subsets: pd.Series) -> pd.Series:
    return subsets.str.strip().str.lower()


def _read(path: Path) -> tuple[bytes, tuple[int, int], NDArray[np.uint8]]:
    """Reads an image: its bytes, its width and height in pixels, and its thumbnail.

    Raises:
        UnreadableError: It is not there, or none that can be read rightly.
    """
    try:
        content = read_limited(path)
        with open_image(content) as image:
            return content, image.size, thumbnail(_eight_bit(image, content))
    except (OSError, ValueError) as error:  # a path may hold what no path can
        raise UnreadableError(f"it cannot be read ({getattr(error, 'strerror', error)})") from error


def _unreadable_text(unreadable: Sequence[Mapping[str, str]], *, of: int, listed: int) -> str:
    """What the audit says nothing of, as Markdown; nothing where all could be read."""
    if not unreadable:
        return ""
    lines = [
        "",
        f"**{len(unreadable):,} of {of:,} images could not be read**; all above is on the others.",
        "",
    ]
    lines += [f"- {one['file']}: {one['reason']}" for one in unreadable[:listed]]
    if (more := len(unreadable) - listed) > 0:
        lines += ["", f"and {more:,} more (all of them: --json FILE)"]
    return "\n".join(lines) + "\n"


def _eight_bit(image: Image.Image, content: bytes) -> bytes:
    """Scales a grey image of more than 8 bits from its darkest to its brightest value onto 0 to 255.

    How alike two images are does not depend on where their values begin and end, so that no window is needed.

    Args:
        image: The image, opened.
        content: The bytes of its file.

    Returns:
        The same bytes where the image is no grey one of more than 8 bits, else those of a PNG.
    """
    if not image.mode.startswith(("I", "F")):
        return content
    values = np.asarray(image, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    stream = io.BytesIO()
    Image.fromarray(np.round(scaled).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()
