"""Small stand-ins of the releases, and the public services that have them."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from known import DATASETS
from PIL import Image
from public_server import Served

MENDELEY = "/data.mendeley.com/public-api/zip/bhmdr45bh2/download/4"
KAGGLE_IQOTH = "adityamahimkar/iqothnccd-lung-cancer-dataset"
KAGGLE_IQOTH_2 = "hamdallak/the-iqothnccd-lung-cancer-dataset"
KAGGLE_LC25000 = "andrewmvd/lung-and-colon-cancer-histopathological-images"
HUGGING_FACE = "1aurent/LC25000"


def image(seed, kind="JPEG"):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


def release(dataset_id, seed=0, each=2):
    """Names and contents of a small stand-in, in the release's layout."""
    dataset = DATASETS[dataset_id]
    names = {"iqoth": "{} ({}).jpg", "lc25000": "{}{}.jpeg"}[dataset_id]
    files = {}
    for place, (folder,) in enumerate(dataset.classes.values()):
        stem = folder.removesuffix("s") if dataset_id == "iqoth" else folder.replace("_", "")
        for number in range(1, each + 1):
            content = image(1000 * seed + 10 * place + number)
            files[f"{dataset.archive.root}/{folder}/{names.format(stem, number)}"] = content
    return files


def zipped(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return stream.getvalue()


def digest(content):
    return hashlib.sha256(content).hexdigest()


def state(folder):
    """Every file of a folder of downloads, by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def kaggle_has(server, handle, archive, version=3):
    """Serves a dataset as Kaggle does: its version, and the archive behind a redirect.

    Args:
        server: A `PublicServer`.
        handle: `owner/name`.
        archive: What is served.
        version: The current version of the dataset.
    """
    described = json.dumps({"currentVersionNumber": version}).encode()
    service = "/v1/datasets.DatasetApiService"
    stored = f"/stored/{handle}"
    server.files |= {
        f"{service}/GetDataset/{handle}": Served(described, content_type="application/json"),
        f"{service}/DownloadDataset/{handle}": Served(redirect=f"{server.address}{stored}"),
        stored: archive,
    }
    return archive


def shards(files, rows=4):
    """Parquet files as Hugging Face keeps images in."""
    items = list(files.items())
    for start in range(0, len(items), rows):
        part = items[start : start + rows]
        images = [{"bytes": content, "path": name.rsplit("/", 1)[-1]} for name, content in part]
        stream = io.BytesIO()
        pq.write_table(pa.table({"image": images, "label": [0] * len(part)}), stream)
        yield stream.getvalue()


def hugging_face_has(server, files, *, storage):
    """Serves a dataset as Hugging Face does: a listing with hashes, and shards behind redirects.

    Args:
        server: A `PublicServer`.
        files: Names and contents of the images.
        storage: The other server on which the shards lie.

    Returns:
        The path of the listing.
    """
    listing = [{"type": "file", "path": "README.md", "size": 10, "oid": "x"}]
    for number, content in enumerate(shards(files)):
        name = f"data/train-{number:05}-of-00009.parquet"
        lfs = {"oid": digest(content), "size": len(content), "pointerSize": 134}
        listing.append({"type": "file", "path": name, "size": len(content), "oid": "y", "lfs": lfs})
        server.files[f"/datasets/{HUGGING_FACE}/resolve/main/{name}"] = Served(
            redirect=f"{storage.address}/cdn/{number}?Signature=s1gned",
            headers={
                "X-Repo-Commit": "0" * 40,
                "X-Linked-Size": str(len(content)),
                "X-Linked-Etag": f'"{digest(content)}"',
            },
        )
        storage.files[f"/cdn/{number}?Signature=s1gned"] = Served(content)
    path = f"/api/datasets/{HUGGING_FACE}/tree/main?recursive=true&expand=false"
    server.files[path] = Served(json.dumps(listing).encode(), content_type="application/json")
    return path
