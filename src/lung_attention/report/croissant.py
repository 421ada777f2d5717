"""Datasets described for machines, in Croissant (MLCommons)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import mlcroissant as mlc

from lung_attention.config import Dataset

_KINDS = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}


def croissant(dataset: Dataset, *, sha256: str, copy: str | None, published: str) -> dict[str, Any]:
    """What a dataset's archive holds.

    Args:
        dataset: As its file describes it.
        sha256: Of the archive.
        copy: What is different in it from the release; None for nothing known.
        published: Date of the description, YYYY-MM-DD.

    Returns:
        JSON-LD, as `mlcroissant` reads it: the archive, its images, and a record an image with the class that
        its folder tells.
    """
    root = f"{dataset.archive.root}/" if dataset.archive.root else ""
    # Some archives nest the folders, others leave the top one out.
    includes = [
        f"*{folder}/*{suffix}"
        for folders in dataset.classes.values()
        for folder in folders
        for suffix in dataset.archive.suffixes
    ]
    archive = mlc.FileObject(
        id="archive",
        name="archive",
        description=copy,
        content_url=f"{dataset.archive_of}.zip",
        encoding_formats=["application/zip"],
        sha256=sha256,
    )
    images = mlc.FileSet(
        id="images",
        name="images",
        contained_in=["archive"],
        encoding_formats=sorted({_KINDS.get(one, "image/*") for one in dataset.archive.suffixes}),
        includes=includes,
    )

    def path(expression: str) -> mlc.Source:
        return mlc.Source(
            file_set="images",
            extract=mlc.Extract(file_property=mlc.FileProperty.fullpath),
            transforms=[mlc.Transform(regex=expression)],
        )

    content = mlc.Source(file_set="images", extract=mlc.Extract(file_property=mlc.FileProperty.content))
    record = mlc.RecordSet(
        id="records",
        name="records",
        description="An image each.",
        fields=[
            mlc.Field(
                id="records/image",
                name="image",
                description="The image.",
                data_types=[mlc.DataType.IMAGE_OBJECT],
                source=content,
            ),
            mlc.Field(
                id="records/name",
                name="name",
                description="Its path below the top folder.",
                data_types=[mlc.DataType.TEXT],
                source=path(f"(?:.*{root})?(.*)"),
            ),
            mlc.Field(
                id="records/folder",
                name="folder",
                description="The folder that tells its class: "
                + "; ".join(f"{name}: {', '.join(folders)}" for name, folders in dataset.classes.items()),
                data_types=[mlc.DataType.TEXT],
                source=path(r".*?([^/]+)/[^/]+$"),
            ),
        ],
    )
    metadata = mlc.Metadata(
        name=dataset.id,
        description=f"{dataset.title}: images of the classes {', '.join(dataset.labels)}. Related images "
        f"share a group ({dataset.unit}).",
        license=[dataset.licence],
        cite_as=" ".join(dataset.citation.split()),
        url=next((word for word in dataset.citation.split() if word.startswith("https://")), None),
        version="1.0.0",
        date_published=datetime.fromisoformat(published),
        distribution=[archive, images],
        record_sets=[record],
    )
    return dict(metadata.to_json())
