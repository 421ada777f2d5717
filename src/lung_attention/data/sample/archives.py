"""The embedded synthetic sample: four archives laid out like the public ones, with their traps planted.

The pictures are drawn by a program and show no patient. What is planted is counted in `PLANTED`,
so that audits and groupings can be tested against what is known to be there.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lung_attention.config import Dataset
from lung_attention.data.sample.pictures import pictures
from lung_attention.files import sha256
from lung_attention.writing import replacing

_TIMESTAMP = (2020, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16


@dataclass(frozen=True)
class Planted:
    """What one archive holds, whatever the seed.

    Attributes:
        images: Images of each class, in the order of the catalog's classes.
        redundant_files: Files beyond the first of each set of byte-identical files.
        redundant_across_classes: Those of them whose set spans two classes.
        odd_sized: Images that have not the size of the others, all of one class.
        groups: Cases, source tiles or patients.
        groups_with_two_labels: Those of them whose images carry two labels.
        contradictory_pairs: Pairs of one slice under two labels.
    """

    images: tuple[int, ...]
    redundant_files: int = 0
    redundant_across_classes: int = 0
    odd_sized: int = 0
    groups: int = 0
    groups_with_two_labels: int = 0
    contradictory_pairs: int = 0


PLANTED: dict[str, Planted] = {
    "iqoth": Planted(images=(70, 80, 30), redundant_files=12, odd_sized=6, groups=25),
    "lc25000": Planted(images=(100, 100, 100), redundant_files=9, groups=60),
    "lidc": Planted(
        images=(90, 88),
        redundant_files=10,
        redundant_across_classes=10,
        groups=15,
        groups_with_two_labels=2,
        contradictory_pairs=10,
    ),
    "lidc_nodules": Planted(images=(80, 80), groups=60, groups_with_two_labels=4),
}


def make_sample(folder: Path, datasets: Mapping[str, Dataset], *, seed: int) -> dict[str, str]:
    """Writes the four archives.

    Names and pixels depend on the seed alone; the bytes also on the versions of the image encoders.

    Args:
        folder: Where `<dataset>.zip` are written; made if missing.
        datasets: The layouts that are imitated, by dataset.
        seed: Seed of all that is drawn.

    Returns:
        The SHA-256 of each archive, by file name.
    """
    digests = {}
    for dataset_id in PLANTED:
        path = folder / f"{dataset_id}.zip"
        dataset = datasets[dataset_id]
        drawn = sorted(pictures(dataset, seed), key=lambda picture: picture.path)
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            for picture in drawn:
                member = zipfile.ZipInfo(f"{dataset.archive.root}/{picture.path}", _TIMESTAMP)
                member.create_system = 3
                member.external_attr = _MODE
                archive.writestr(member, picture.encoded)
        digests[path.name] = sha256(path)
    return digests


def true_groups(dataset: Dataset, seed: int) -> dict[str, str]:
    """What each image really came from, which the archives do not tell where the public ones do not.

    Args:
        dataset: The dataset.
        seed: The seed of `make_sample`.

    Returns:
        The case, source tile or patient of each image, by the image's path below the archive's root.
    """
    return {picture.path: picture.group for picture in pictures(dataset, seed)}
