"""Datasets on Hugging Face, through huggingface_hub: their Parquet shards become the release's archive."""

from __future__ import annotations

import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

from lung_attention.config import Source
from lung_attention.config.sources import HuggingFaceSource, Layout
from lung_attention.data.sources.packing import new_archive
from lung_attention.data.sources.table import Item
from lung_attention.data.sources.transfer import TransferError, failing_as_source
from lung_attention.files import sha256

# Rows of a shard that are in memory at a time.
_ROWS = 64

# huggingface_hub has timeouts for files (HF_HUB_DOWNLOAD_TIMEOUT), but waits for a listing for ever.
_TIMEOUT_S = 60.0


def from_hugging_face(item: Item, source: Source, target: Path) -> None:
    """Makes an archive of the release's layout from the Parquet shards of a dataset.

    The listing of a repository gives the SHA-256 of each shard, which is compared. A shard's rows hold the
    images' own bytes and file names, so the archive has the same images under the same names as the release.

    Args:
        item: A dataset.
        source: Its repository, `owner/name`, and how the images' names lead to the release's layout.
        target: The archive to write, whole or not at all. The shards lie in a folder beside it until then;
            those that are complete stay after an interruption.

    Raises:
        TransferError: The service does not deliver, or its shards are not as expected.
    """
    assert isinstance(source, HuggingFaceSource)
    folder = target.with_name(f"{target.name}.shards")
    with failing_as_source(source.address):
        _zip_images(_fetch_shards(source.address, folder), target, source.layout)
    shutil.rmtree(folder)


def _fetch_shards(repository: str, folder: Path) -> list[Path]:
    from huggingface_hub import HfApi, get_session
    from huggingface_hub.hf_api import RepoFile

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its warnings quote signed addresses
    hooks = get_session().event_hooks
    if _limit not in hooks["request"]:
        get_session().event_hooks = {**hooks, "request": [*hooks["request"], _limit]}
    # Said here, since huggingface_hub reads the variable only when it is imported.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
    shards = [
        entry
        for entry in api.list_repo_tree(repository, repo_type="dataset", recursive=True)
        if isinstance(entry, RepoFile) and entry.path.endswith(".parquet") and entry.lfs is not None
    ]
    if not shards:
        raise TransferError(f"{repository} has no Parquet files")
    paths = []
    for shard in sorted(shards, key=lambda entry: entry.path):
        path = Path(api.hf_hub_download(repository, shard.path, repo_type="dataset", local_dir=folder))
        assert shard.lfs is not None
        if (found := sha256(path)) != shard.lfs.sha256:
            path.unlink()
            raise TransferError(f"{shard.path} has sha256 {found}, but {repository} lists {shard.lfs.sha256}")
        paths.append(path)
    return paths


def _limit(request: Any) -> None:
    """Gives a request of huggingface_hub's client a timeout wherever it has none."""
    given = request.extensions.get("timeout", {})
    parts = ("connect", "read", "write", "pool")
    request.extensions["timeout"] = {part: given.get(part) or _TIMEOUT_S for part in parts}


def _zip_images(shards: list[Path], target: Path, layout: Layout) -> None:
    import pyarrow.parquet as pq

    pattern = re.compile(layout.name)
    names: set[str] = set()
    with new_archive(target) as add:
        for shard in shards:
            for batch in pq.ParquetFile(shard).iter_batches(batch_size=_ROWS, columns=["image"]):
                for image in batch.column("image").to_pylist():
                    name = image["path"].rsplit("/", 1)[-1]
                    if match := pattern.fullmatch(name):
                        add(f"{match.expand(layout.folder)}/{name}", image["bytes"])
                        names.add(name)
        if not names:
            raise TransferError(f"its shards name no image as the release does ({layout.name})")
