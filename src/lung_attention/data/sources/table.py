"""What the project can fetch: every dataset and weight file with its sources, in order of preference.

Layouts, classes and counts of the datasets are in `data.catalog`, licences and citations in
`data.provenance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from lung_attention.data.catalog import DATASETS
from lung_attention.data.provenance import PROVENANCE

Kind = Literal["web", "kaggle", "huggingface", "idc"]

# Pages for people; a plain address is its own.
_PAGES: dict[Kind, str] = {
    "web": "{}",
    "kaggle": "https://www.kaggle.com/datasets/{}",
    "huggingface": "https://huggingface.co/datasets/{}",
    "idc": "https://portal.imaging.datacommons.cancer.gov/collections/{}",
}

# As it could stand in YAML. `Source` says what each field means.
_SOURCES: dict[str, list[dict[str, Any]]] = {
    "iqoth": [
        {
            "name": "mendeley",
            "kind": "web",
            "address": "https://data.mendeley.com/public-api/zip/bhmdr45bh2/download/4",
        },
        {"name": "kaggle", "kind": "kaggle", "address": "adityamahimkar/iqothnccd-lung-cancer-dataset"},
        {"name": "kaggle-2", "kind": "kaggle", "address": "hamdallak/the-iqothnccd-lung-cancer-dataset"},
    ],
    "lc25000": [
        {
            "name": "kaggle",
            "kind": "kaggle",
            "address": "andrewmvd/lung-and-colon-cancer-histopathological-images",
        },
        {
            "name": "huggingface",
            "kind": "huggingface",
            "address": "1aurent/LC25000",
            "layout": {
                "name": r"lung_?(aca|n|scc)\d+\.jpe?g",
                "folder": r"lung_colon_image_set/lung_image_sets/lung_\1",
            },
        },
    ],
    "lidc": [{"name": "idc", "kind": "idc", "address": "lidc_idri"}],
    "lidc_nodules": [{"name": "idc", "kind": "idc", "address": "lidc_idri"}],
    # Keras publishes no checksum of MobileNetV2's file.
    "mobilenetv2": [
        {
            "name": "keras",
            "kind": "web",
            "address": "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/"
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            "bytes": 9_406_464,
        }
    ],
    "densenet121": [
        {
            "name": "keras",
            "kind": "web",
            "address": "https://storage.googleapis.com/tensorflow/keras-applications/densenet/"
            "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "bytes": 29_084_464,
            "md5": "30ee3e1110167f948a6b9946edeeb738",
        }
    ],
}


class Layout(BaseModel):
    """Where images lie in the release that a source keeps by their file names alone.

    Attributes:
        name: A regular expression of the names of the images that are wanted.
        folder: Their folder in the release, with groups of `name`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    folder: str


class Source(BaseModel):
    """One place that serves an item.

    Attributes:
        name: What records and messages call it.
        kind: How it is asked: `web` serves a file to everybody, `kaggle` and `huggingface` may want a
            token, `idc` (NCI Imaging Data Commons) has the CT series from which an archive is rebuilt.
        address: A web address, or what the service calls the dataset: `owner/name`, or a collection.
        bytes: The exact length of the file, where known.
        md5: A published checksum of the file, where known.
        layout: Where its images lie in the release; for `huggingface` alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Kind
    address: str
    bytes: int | None = None
    md5: str | None = None
    layout: Layout | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Self:
        if (self.layout is not None) != (self.kind == "huggingface"):
            raise ValueError(f"{self.name}: a layout belongs to kind huggingface, and to no other")
        if self.kind != "web" and (self.bytes is not None or self.md5 is not None):
            raise ValueError(f"{self.name}: length and checksum are known of plain files alone (kind web)")
        return self

    @property
    def page(self) -> str:
        """Web address for people."""
        return _PAGES[self.kind].format(self.address)


@dataclass(frozen=True)
class Item:
    """Something to fetch.

    Attributes:
        id: The dataset or backbone.
        title: The name for people.
        file: What it is called in a folder of downloads, and in the folders that the profile `local` reads.
        kind: `archive` of images or `weights` of a backbone.
        about_bytes: About how much is transferred, for the user and for the look at the disk. What is cut
            from CT series is reckoned anew from the parameters before it is fetched.
        sources: In order of preference.
        licence: The licence under which it is given.
        citation: How it is cited.
    """

    id: str
    title: str
    file: str
    kind: Literal["archive", "weights"]
    about_bytes: int
    sources: tuple[Source, ...]
    licence: str
    citation: str


def sources_of(item_id: str) -> tuple[Source, ...]:
    """Sources of a dataset or backbone, in order of preference."""
    return tuple(Source.model_validate(values) for values in _SOURCES[item_id])


def _archive(dataset_id: str, about_bytes: int) -> Item:
    provenance = PROVENANCE[dataset_id]
    return Item(
        id=dataset_id,
        title=DATASETS[dataset_id].title,
        file=f"{dataset_id}.zip",
        kind="archive",
        about_bytes=about_bytes,
        sources=sources_of(dataset_id),
        licence=provenance.licence,
        citation=provenance.citation,
    )


def _weights(backbone: str, title: str, about_bytes: int, licence: str, citation: str) -> Item:
    return Item(
        id=backbone,
        title=f"{title}, ImageNet weights without top",
        file=f"{backbone}_notop.weights.h5",
        kind="weights",
        about_bytes=about_bytes,
        sources=sources_of(backbone),
        licence=licence,
        citation=citation,
    )


_ITEMS = (
    _archive("iqoth", 200_000_000),
    _archive("lc25000", 1_850_000_000),
    _archive("lidc", 1_230_000_000),
    _archive("lidc_nodules", 2_000_000_000),
    _weights(
        "mobilenetv2",
        "MobileNetV2",
        9_406_464,
        "Apache-2.0",
        "Sandler M. et al.: MobileNetV2: Inverted Residuals and Linear Bottlenecks. CVPR 2018. "
        "https://arxiv.org/abs/1801.04381",
    ),
    _weights(
        "densenet121",
        "DenseNet121",
        29_084_464,
        "BSD-3-Clause",
        "Huang G. et al.: Densely Connected Convolutional Networks. CVPR 2017. https://arxiv.org/abs/1608.06993",
    ),
)

ITEMS: dict[str, Item] = {item.id: item for item in _ITEMS}
