"""Damaged outputs: found by their hashes in DVC's cache and in the work tree, and removed.

DVC trusts a file whose size and time are as it left them, and a cached object by its name. So a bad disk, or
a program that writes into a linked file, is believed until somebody hashes everything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from lung_attention.paths import Paths
from lung_attention.workflow.status import LOCK, stages_of

_OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")


def remove_damaged(root: Path, paths: Paths) -> list[Path]:
    """Removes what is not what its hash says, so that `dvc repro` fetches or makes it anew.

    Args:
        root: The project's root, the current folder.
        paths: The files of the profile in use; what DVC caches of them is looked at in the work tree, too.

    Returns:
        The files that were removed: objects of the cache, and outputs.
    """
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        cache = Path(repo.cache.local.path)
    todo = [*_objects(cache), *_outputs(root, paths, cache)]
    damaged = []
    with tqdm(total=sum(path.stat().st_size for path, _ in todo), unit="B", unit_scale=True) as progress:
        for path, expected in todo:
            size = path.stat().st_size
            with path.open("rb") as stream:
                found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if found != expected:
                path.unlink()
                damaged.append(path)
            progress.update(size)
    return damaged


def _objects(cache: Path) -> Iterator[tuple[Path, str]]:
    """The objects of a cache of DVC, whose names are their hashes."""
    for path in sorted(cache.glob("[0-9a-f][0-9a-f]/*")):
        if path.is_file() and _OBJECT.fullmatch(path.name):
            yield path, path.parent.name + path.name.removesuffix(".dir")


def _outputs(root: Path, paths: Paths, cache: Path) -> Iterator[tuple[Path, str]]:
    """The files of a profile's outputs in the work tree, with the hashes of its dvc.lock."""
    lock = root / LOCK
    for stage in (stages_of(lock) if lock.exists() else {}).values():
        for out in stage.get("outs") or []:
            if "md5" not in out or paths.artifacts not in Path(out["path"]).parents:
                continue
            for path, expected in _files_of(root / out["path"], out["md5"], cache):
                if path.is_file():
                    yield path, expected


def _files_of(path: Path, expected: str, cache: Path) -> list[tuple[Path, str]]:
    """A file, or those of a folder, which an object of the cache lists."""
    listing = cache / expected[:2] / expected[2:]
    if not expected.endswith(".dir"):
        return [(path, expected)]
    try:
        return [(path / entry["relpath"], entry["md5"]) for entry in json.loads(listing.read_bytes())]
    except (OSError, ValueError, KeyError, TypeError):  # gone or damaged: `_objects` tells
        return []
