"""The datasets: names, classes, layouts and counts of their public archives.

Trainings depend on this module; where the archives come from and how they are cited is in `provenance`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Dataset:
    """One public dataset as its archive lays it out.

    Attributes:
        id: The name used in parameters, stages and files.
        title: The name for people.
        classes: Class names in label order, the order of the published confusion matrices.
        folders: The archive's folders of each class, in the order of `classes`. Below `root`.
        root: The archive's top folder, which some copies nest twice and others leave out.
        suffixes: Lower-case endings of the image files.
        counts: Images of each class in the public release, in the order of `classes`.
        group: What a group is: the unit that must not stand on two sides of a split.
    """

    id: str
    title: str
    classes: tuple[str, ...]
    folders: tuple[tuple[str, ...], ...]
    root: str
    suffixes: tuple[str, ...]
    counts: tuple[int, ...]
    group: str
    ignored: tuple[str, ...] = field(default=())


_DATASETS = (
    Dataset(
        id="iqoth",
        title="IQ-OTH/NCCD",
        classes=("normal", "malignant", "benign"),
        folders=(("Normal cases",), ("Malignant cases",), ("Bengin cases",)),  # the release's spelling
        root="The IQ-OTHNCCD lung cancer dataset",
        suffixes=(".jpg", ".jpeg", ".png"),
        counts=(416, 561, 120),
        group="pseudo-group of near-duplicate slices",
    ),
    Dataset(
        id="lc25000",
        title="LC25000 (lung)",
        classes=("adenocarcinoma", "benign", "squamous_cell_carcinoma"),
        folders=(("lung_aca",), ("lung_n",), ("lung_scc",)),
        root="lung_colon_image_set/lung_image_sets",
        suffixes=(".jpeg", ".jpg", ".png"),
        counts=(5000, 5000, 5000),
        group="source tile (inferred)",
        ignored=("lung_colon_image_set/colon_image_sets",),
    ),
    Dataset(
        id="lidc",
        title="LIDC-IDRI, the paper's slices",
        classes=("malignant", "benign"),
        folders=(
            ("train/malignant", "valid/malignant", "test/malignant"),
            ("train/benign", "valid/benign", "test/benign"),
        ),
        root="LIDC_IDRI_PNG_CONV",
        suffixes=(".png",),
        counts=(1051, 1015),
        group="patient",
    ),
    Dataset(
        id="lidc_nodules",
        title="LIDC-IDRI, nodule crops",
        classes=("malignant", "benign"),
        folders=(("malignant",), ("benign",)),
        root="LIDC-IDRI-nodules",
        suffixes=(".png",),
        counts=(1051, 1015),
        group="patient",
    ),
)

DATASETS: dict[str, Dataset] = {dataset.id: dataset for dataset in _DATASETS}
