"""Files that are being written: a kill leaves nothing half-written, a full disk is told beforehand."""

from __future__ import annotations

import errno
import math
import os
import platform
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lung_attention.alive import is_running
from lung_attention.errors import UserError

UNFINISHED = ".unfinished-"
"""How the names of files begin that are being written; git and DVC ignore them."""

LEAST_FREE_BYTES = 1_000_000_000
"""What a pipeline on small images needs; larger files ask for their own space when they are made."""

# Folders may be shared between machines, whose processes have the same numbers.
_MACHINE = f"{zlib.crc32(platform.node().encode()):08x}"


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
    prefix = f"{UNFINISHED}{_MACHINE}-{os.getpid()}-"
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffixes, dir=path.parent)
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


def require_space(folder: Path) -> None:
    """Refuses to begin hours of work on a disk that is all but full.

    Raises:
        UserError: Less than `LEAST_FREE_BYTES` are free where a folder lies.
    """
    if (free := shutil.disk_usage(folder).free) < LEAST_FREE_BYTES:
        raise UserError(
            f"{folder.resolve()}: {free / 1e9:.1f} GB are free on this disk, expected "
            f"{LEAST_FREE_BYTES / 1e9:.0f} GB at least",
            remedy="free some space; dvc gc -w removes what DVC caches of old results",
        )


def _sweep(folder: Path) -> None:
    """Removes what killed processes of this machine left unfinished in a folder."""
    for left in folder.glob(f"{UNFINISHED}{_MACHINE}-*"):
        pid = left.name.split("-")[2]
        if pid.isdecimal() and not is_running(int(pid)):
            left.unlink(missing_ok=True)


def reserve(path: Path) -> None:
    """Asks the disk for all the space of a file that a memory map made without writing it.

    Else a full disk would kill the process in the middle of the map, without a word.

    Raises:
        OSError: There is not so much space.
    """
    with path.open("r+b") as stream:
        _reserve(stream.fileno(), path.stat().st_size, path)


def scratch(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array, zero at first, in a file without a name, which ends with it; for what memory need not hold.

    Raises:
        OSError: There is not so much space where temporary files lie.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if not size:
        return np.zeros(shape, dtype)  # which cannot be mapped
    with tempfile.TemporaryFile() as stream:
        stream.truncate(size)
        _reserve(stream.fileno(), size, Path(tempfile.gettempdir()))
        return np.asarray(np.memmap(stream, dtype=dtype, mode="r+", shape=shape))


def _reserve(file: int, size: int, path: Path) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    elif (free := shutil.disk_usage(path.parent).free) < size:
        raise OSError(errno.ENOSPC, f"{size:,} bytes are needed, {free:,} are free", str(path))
