"""Large corpora: a Parquet file a shard; what is finished is skipped, what was killed is made again.

A shard is so many successive images of a folder or archive. Who works on it writes its file under another
name and renames it at the end; so every image stands in one file once, whatever dies in between.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from lung_attention.data.archive import open_archive
from lung_attention.data.unreadable import guarded
from lung_attention.errors import UserError
from lung_attention.extras import how_to_install
from lung_attention.files import read_json, write_json
from lung_attention.images.decode import UnreadableError
from lung_attention.predict.about import code_version
from lung_attention.predict.exported import ExportedModel
from lung_attention.predict.inputs import find_inputs, is_image_name
from lung_attention.predict.pixels import read_pixels
from lung_attention.writing import replacing

MANIFEST, MODEL = "manifest.json", "model.onnx"


@dataclass(frozen=True)
class Shard:
    """Successive images of one source.

    Attributes:
        number: Among all shards, from 0.
        source: A folder, an archive or a single file.
        start: The first of the source's images.
        stop: One past the last.
    """

    number: int
    source: str
    start: int
    stop: int

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"part-{self.number:07d}.parquet"


@lru_cache(maxsize=1)  # shards of a source follow each other
def names_of(source: str) -> list[str]:
    """The names of a source's images in alphabetical order.

    A single file has one name, which is empty; likewise a folder or archive that holds no image or cannot be
    opened, which is an input that cannot be read.
    """
    path = Path(source)
    if not (path.is_dir() or path.suffix.lower() == ".zip"):
        return [""]
    try:
        with open_archive(path) as (names, _):
            return sorted(filter(is_image_name, names)) or [""]
    except UserError:
        return [""]


def shards_of(paths: Iterable[Path], size: int) -> Iterator[Shard]:
    """Yields the shards of paths, `size` images each at most."""
    number = 0
    for path in paths:
        count = len(names_of(str(path)))
        for start in range(0, count, size):
            yield Shard(number, str(path), start, min(start + size, count))
            number += 1


def schema_of(classes: Sequence[str]) -> pa.Schema:
    """The columns of a shard's file; all but file and reason are missing where an image cannot be read."""
    fixed = {
        "file": pa.string(),
        "reason": pa.string(),
        "class": pa.string(),
        "probability": pa.float64(),
        "set": pa.list_(pa.string()),
        "familiar": pa.bool_(),
        "distance": pa.float64(),
        "sha256": pa.string(),
    }
    return pa.schema([*fixed.items(), *((f"probability_{name}", pa.float64()) for name in classes)])


class ShardWorker:
    """Makes the files of shards, in this process or in one of Ray's.

    Args:
        folder: Of the files, and of the model.
        window: Level and width in HU through which CT slices are seen; None for the model's own.
        threads: For one image; None for all cores.
    """

    def __init__(self, folder: str, window: tuple[float, float] | None, threads: int | None = None) -> None:
        self._folder = Path(folder)
        self._model = ExportedModel(self._folder / MODEL, threads=threads)
        self._window = window or self._model.about.window

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        """Makes the file of a shard, given as a mapping of its attributes; says how many images it has."""
        given = Shard(**{name: shard[name] for name in ("number", "source", "start", "stop")})
        rows = list(self._rows(given))
        with replacing(self._folder / given.file) as temporary:
            pq.write_table(pa.Table.from_pylist(rows, schema_of(self._model.about.classes)), temporary)
        return {"images": len(rows)}

    def _rows(self, shard: Shard) -> Iterator[dict[str, Any]]:
        names = names_of(shard.source)[shard.start : shard.stop]
        path = Path(shard.source)
        if names == [""]:
            yield from (self._row(one.name, one.read) for one in find_inputs([path]))
            return
        with open_archive(path) as (_, read):
            for name in names:
                yield self._row(f"{path}/{name}", lambda name=name: guarded(read, name))

    def _row(self, name: str, read: Any) -> dict[str, Any]:
        try:
            content = read()
            pixels = read_pixels(content, self._window)
        except UnreadableError as error:
            return {"file": name, "reason": str(error)}
        said = self._model.said(self._model.predict(pixels))
        return {"file": name, **said, "sha256": hashlib.sha256(content).hexdigest()}


def predict_corpus(
    model: ExportedModel,
    paths: Sequence[Path],
    folder: Path,
    *,
    size: int,
    workers: int | None,
    window: tuple[float, float] | None,
) -> tuple[int, int]:
    """Classifies all images of paths, going on where a run before stopped.

    Args:
        model: The model.
        paths: Files, folders and archives.
        folder: Of the shards' files, of a copy of the model, and of a manifest.
        size: Images of a shard.
        workers: Processes of Ray, on all machines of the cluster that $RAY_ADDRESS names or else on this one;
            None for this process alone.
        window: Level and width in HU in place of the model's own.

    Returns:
        How many images there are, and how many of them could not be read.

    Raises:
        UserError: The folder holds answers of another model or on other images, or Ray is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = list(shards_of(paths, size))
    _claim(model, paths, folder, size=size, window=window)
    todo = [asdict(shard) for shard in shards if not (folder / shard.file).exists()]
    with tqdm(total=len(shards), initial=len(shards) - len(todo), unit="shard") as bar:
        for _ in _made(todo, str(folder), workers, window):
            bar.update()
    images = unreadable = 0
    for shard in shards:
        found = pq.read_table(folder / shard.file, columns=["reason"])
        images += found.num_rows
        unreadable += found.num_rows - found["reason"].null_count
    return images, unreadable


def _claim(
    model: ExportedModel,
    paths: Sequence[Path],
    folder: Path,
    *,
    size: int,
    window: tuple[float, float] | None,
) -> None:
    """Writes what the folder's answers come from, or refuses a folder whose answers come from elsewhere."""
    names = hashlib.sha256()
    for path in paths:
        for name in names_of(str(path)):
            names.update(f"{path}/{name}\n".encode())
    wanted = {
        "model": model.about.model_dump(mode="json") | {"onnx_sha256": model.sha256},
        "inputs": {"paths": [str(path) for path in paths], "names_sha256": names.hexdigest()},
        "images_per_shard": size,
        "window_hu": None if window is None else list(window),
        "code": code_version(),
    }
    path = folder / MANIFEST
    if path.exists():
        there = read_json(path)
        if other := [key for key in wanted if there.get(key) != wanted[key] and key != "code"]:
            raise UserError(
                f"{folder} holds answers that differ in {', '.join(other)}", remedy="name another --shards"
            )
        return
    with replacing(folder / MODEL) as temporary:
        temporary.write_bytes(model.content)
    write_json(path, wanted)


def _made(
    todo: list[dict[str, Any]], folder: str, workers: int | None, window: tuple[float, float] | None
) -> Iterator[Any]:
    """Makes shards, one after the other, and yields as each is finished."""
    if not todo:
        return
    if workers is None:
        yield from map(ShardWorker(folder, window), todo)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        from ray.data import ActorPoolStrategy, DataContext
    except ImportError as error:
        raise UserError(
            "--workers needs Ray, which is not installed",
            remedy=f"{how_to_install('ray')}, or leave it out",
        ) from error
    if not ray.is_initialized():
        local: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR, **local)
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    try:
        # Ray starts a worker that died anew and gives it the shards that were not finished.
        yield from (
            ray.data.from_items(todo, override_num_blocks=len(todo))
            .map(
                ShardWorker,  # type: ignore[arg-type]  # made once in each process, and called there
                fn_constructor_args=(folder, window, 1),
                compute=ActorPoolStrategy(size=min(workers, len(todo))),
            )
            .iter_rows()
        )
    finally:
        with suppress(Exception):
            ray.shutdown()
