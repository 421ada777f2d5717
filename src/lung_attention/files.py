"""Tables, texts and JSON on disk; whole or not at all, and told from damaged ones by their hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from lung_attention.errors import UserError
from lung_attention.writing import replacing

MEND = "lung-attention verify, which removes damaged files from artifacts/ and DVC's cache; then dvc repro"
"""What mends a damaged output of a stage."""

_RESTORE = "restore it (git checkout -- FILE), or remove it, and dvc repro"

# The earliest time a zip can hold: the bytes of an archive must not depend on the day it is written.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text; line ends are single line feeds on every system."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with sorted keys; NaN is refused, since JSON has none."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        UserError: It is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON file ({error})", remedy=_RESTORE) from error


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Writes a table as CSV without its index; floats with nine significant digits (exact for float32)."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g", lineterminator="\n")


def read_table(path: Path, *, text: tuple[str, ...] = ("image", "label", "group", "subset")) -> pd.DataFrame:
    """Reads a CSV written by `write_table`.

    Args:
        path: The file.
        text: Columns that hold text even where every value looks like a number. Empty stays empty, and the
            words pandas would take for missing values ("NA", "null") stay words.

    Returns:
        The table.

    Raises:
        UserError: It is no such table.
    """
    try:
        columns = pd.read_csv(path, nrows=0).columns
        numeric_na = {name: "" for name in columns if name not in text}
        return pd.read_csv(
            path, dtype=dict.fromkeys(text, "str"), keep_default_na=False, na_values=numeric_na
        )
    except ValueError as error:  # of pandas, and of a text that is not UTF-8
        raise UserError(f"{path} cannot be read as a table ({error})", remedy=_RESTORE) from error


def inputs_digest(files: Iterable[Path], values: Mapping[str, Any]) -> str:
    """A hash of all that determines a result: the same inputs give the same result.

    Args:
        files: Files of code and data; names and contents count.
        values: What else counts, by name.

    Returns:
        A SHA-256 as 64 hexadecimal digits.
    """
    lines = [f"{path.as_posix()} {sha256(path)}" for path in sorted(files)]
    lines += [f"{key}={values[key]!r}" for key in sorted(values)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file as 64 hexadecimal digits, read in chunks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def require_sha256(path: Path, expected: str) -> None:
    """Refuses a file that is not what was written once.

    Raises:
        UserError: Its hash is another.
    """
    if (found := sha256(path)) != expected:
        raise UserError(
            f"{path} is damaged or another file (expected SHA-256 {expected}, received {found})",
            remedy=MEND,
        )
