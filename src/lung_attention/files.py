"""Writing files so that a killed process leaves nothing half-written."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

_HASH_CHUNK_BYTES = 1 << 20

# The earliest time a zip can hold: the bytes of an archive must not depend on the day it is written.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` and renames it to `path` on success.

    Args:
        path: The file to write; its folder is made.

    Yields:
        The temporary path. It keeps the suffixes of `path`, such as `.weights.h5`, since writers choose a
        format by them. After an exception it is removed and `path` is as it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffixes = "".join(path.suffixes)
    handle, name = tempfile.mkstemp(prefix=".unfinished-", suffix=suffixes, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results are for everybody whom the umask admits.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text; line ends are single line feeds on every system."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with sorted keys; NaN is refused, since JSON has none."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Reads a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


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
    """
    columns = pd.read_csv(path, nrows=0).columns
    numeric_na = {name: "" for name in columns if name not in text}
    return pd.read_csv(path, dtype=dict.fromkeys(text, "str"), keep_default_na=False, na_values=numeric_na)


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
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_HASH_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
