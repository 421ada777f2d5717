"""What can be fetched: the datasets that somebody serves, as their files say, and the backbones' weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lung_attention.config import Dataset, Source
from lung_attention.config.sources import Sources, WebSource


@dataclass(frozen=True)
class Item:
    """Something to fetch.

    Attributes:
        id: The dataset or backbone.
        title: The name for people.
        file: What it is called in a folder of downloads, and in the folders that the profile `local` reads.
        dataset: What an archive should hold; None for weights.
        about_bytes: About how much is transferred, for the user and for the look at the disk.
        sources: In order of preference.
        licence: The licence under which it is given.
        citation: How it is cited.
    """

    id: str
    title: str
    file: str
    dataset: Dataset | None
    about_bytes: int
    sources: tuple[Source, ...]
    licence: str
    citation: str


def items(catalog: Mapping[str, Dataset]) -> dict[str, Item]:
    """What can be fetched, by name: datasets first, then weights.

    Args:
        catalog: The datasets, of which those without sources are left out.
    """
    archives = [
        _archive(dataset, dataset.sources) for dataset in catalog.values() if dataset.sources is not None
    ]
    return {item.id: item for item in (*archives, *_WEIGHTS)}


def _archive(dataset: Dataset, sources: Sources) -> Item:
    return Item(
        id=dataset.id,
        title=dataset.title,
        file=f"{dataset.id}.zip",
        dataset=dataset,
        about_bytes=sources.about_bytes,
        sources=tuple(sources.places),
        licence=dataset.licence,
        citation=dataset.citation,
    )


def _weights(
    backbone: str, *, title: str, path: str, size: int, md5: str | None, licence: str, citation: str
) -> Item:
    address = f"https://storage.googleapis.com/tensorflow/keras-applications/{path}"
    return Item(
        id=backbone,
        title=f"{title}, ImageNet weights without top",
        file=f"{backbone}_notop.weights.h5",
        dataset=None,
        about_bytes=size,
        sources=(WebSource(name="keras", kind="web", address=address, bytes=size, md5=md5),),
        licence=licence,
        citation=citation,
    )


_WEIGHTS = (
    _weights(
        "mobilenetv2",
        title="MobileNetV2",
        path="mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        size=9_406_464,
        md5=None,  # Keras publishes none
        licence="Apache-2.0",
        citation="Sandler M. et al.: MobileNetV2: Inverted Residuals and Linear Bottlenecks. CVPR 2018. "
        "https://arxiv.org/abs/1801.04381",
    ),
    _weights(
        "densenet121",
        title="DenseNet121",
        path="densenet/densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
        size=29_084_464,
        md5="30ee3e1110167f948a6b9946edeeb738",
        licence="BSD-3-Clause",
        citation="Huang G. et al.: Densely Connected Convolutional Networks. CVPR 2017. "
        "https://arxiv.org/abs/1608.06993",
    ),
)
