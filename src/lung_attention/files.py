"""Files: written so that a killed process leaves nothing half-written, verified where they are read."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd

from lung_attention.errors import UserError

UNFINISHED = ".unfinished-"
"""How the names of files begin that are being written; git and DVC ignore them."""

MEND = "lung-attention verify, which removes damaged files from artifacts/ and DVC's cache; then dvc repro"
"""What mends a damaged output of a stage."""

_RESTORE = "restore it (git checkout -- FILE), or remove it, and dvc repro"

# The earliest time a zip can hold: the bytes of an archive must not depend on the day it is written.
ZIP_TIME = (1980, 1, 1, 0, 0, 0)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside `path` and renames it to `path` on success.

    Args:
        path: The file to write; its folder is made.

    Yields:
        The temporary path. It keeps the suffixes of `path`, such as `.weights.h5`, since writers choose a
        format by them. After an exception it is removed and `path` is as it was before; what a kill leaves,
        the next writer in the folder removes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path.parent)
    suffixes = "".join(path.suffixes)
    handle, name = tempfile.mkstemp(prefix=UNFINISHED, suffix=suffixes, dir=path.parent)
    temporary = Path(name)
    try:
        with suppress(OSError):  # of file systems without locks
            _lock(handle)
        yield temporary
        # mkstemp makes private files; results are for everybody whom the umask admits.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _sweep(folder: Path) -> None:
    """Removes what killed processes left unfinished in a folder: nobody holds the lock of such a file."""
    for left in folder.glob(f"{UNFINISHED}*"):
        try:
            with left.open("rb") as stream:
                if _lock(stream.fileno()):
                    left.unlink()
        except OSError:  # being written, or gone by now
            continue


def _lock(handle: int) -> bool:
    """Locks a file until it is closed, where the system can; says whether it did.

    Raises:
        OSError: Another process holds the lock.
    """
    if sys.platform == "win32":
        return False
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return True


def reserve(path: Path) -> None:
    """Asks the disk for all the space of a file that a memory map made without writing it.

    Else a full disk would kill the process in the middle of the map, without a word.

    Raises:
        OSError: There is not so much space.
    """
    size = path.stat().st_size
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)
    elif (free := shutil.disk_usage(path.parent).free) < size:
        raise OSError(errno.ENOSPC, f"{size:,} bytes are needed, {free:,} are free", str(path))


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
