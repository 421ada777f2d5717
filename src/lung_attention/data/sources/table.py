"""What the project can fetch: every dataset and weight file with its sources, in order of preference.

Layouts, classes and counts of the datasets are in `data.catalog`, licences and citations in
`data.provenance`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lung_attention.data.catalog import DATASETS
from lung_attention.data.provenance import PROVENANCE

_KAGGLE = "https://www.kaggle.com/api/v1/datasets/download"
_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclass(frozen=True)
class Source:
    """One place that serves an item.

    Attributes:
        name: What records and messages call it.
        service: How it is asked: `web` serves a file to everybody, `kaggle` and `huggingface` may want a
            token, `idc` (NCI Imaging Data Commons) has the CT series from which an archive is rebuilt.
        address: Where: a file, a dataset's listing, or a page about the collection.
        bytes: The exact length of what it serves, where known.
        md5: A published checksum of what it serves, where known.
    """

    name: str
    service: Literal["web", "kaggle", "huggingface", "idc"]
    address: str
    bytes: int | None = None
    md5: str | None = None


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


def _archive(dataset_id: str, about_bytes: int, *sources: Source) -> Item:
    provenance = PROVENANCE[dataset_id]
    return Item(
        id=dataset_id,
        title=DATASETS[dataset_id].title,
        file=f"{dataset_id}.zip",
        kind="archive",
        about_bytes=about_bytes,
        sources=sources,
        licence=provenance.licence,
        citation=provenance.citation,
    )


def _weights(backbone: str, title: str, source: Source, licence: str, citation: str) -> Item:
    assert source.bytes is not None
    return Item(
        id=backbone,
        title=f"{title}, ImageNet weights without top",
        file=f"{backbone}_notop.weights.h5",
        kind="weights",
        about_bytes=source.bytes,
        sources=(source,),
        licence=licence,
        citation=citation,
    )


_IDC = Source("idc", "idc", "https://portal.imaging.datacommons.cancer.gov/collections/lidc_idri")

_ITEMS = (
    _archive(
        "iqoth",
        200_000_000,
        Source("mendeley", "web", "https://data.mendeley.com/public-api/zip/bhmdr45bh2/download/4"),
        Source("kaggle", "kaggle", f"{_KAGGLE}/adityamahimkar/iqothnccd-lung-cancer-dataset"),
        Source("kaggle-2", "kaggle", f"{_KAGGLE}/hamdallak/the-iqothnccd-lung-cancer-dataset"),
    ),
    _archive(
        "lc25000",
        1_850_000_000,
        Source("kaggle", "kaggle", f"{_KAGGLE}/andrewmvd/lung-and-colon-cancer-histopathological-images"),
        Source("huggingface", "huggingface", "https://huggingface.co/datasets/1aurent/LC25000"),
    ),
    _archive("lidc", 1_230_000_000, _IDC),
    _archive("lidc_nodules", 2_000_000_000, _IDC),
    _weights(
        "mobilenetv2",
        "MobileNetV2",
        # Keras publishes no checksum of this file.
        Source(
            "keras",
            "web",
            f"{_KERAS}/mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
            bytes=9_406_464,
        ),
        "Apache-2.0",
        "Sandler M. et al.: MobileNetV2: Inverted Residuals and Linear Bottlenecks. CVPR 2018. "
        "https://arxiv.org/abs/1801.04381",
    ),
    _weights(
        "densenet121",
        "DenseNet121",
        Source(
            "keras",
            "web",
            f"{_KERAS}/densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
            bytes=29_084_464,
            md5="30ee3e1110167f948a6b9946edeeb738",
        ),
        "BSD-3-Clause",
        "Huang G. et al.: Densely Connected Convolutional Networks. CVPR 2017. https://arxiv.org/abs/1608.06993",
    ),
)

ITEMS: dict[str, Item] = {item.id: item for item in _ITEMS}
