"""The published splits of the real archives, file by file.

Class counts prove nothing: files in another order give the same ones.
"""

import hashlib
import zipfile
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from known import DATASETS
from real_archives import FOLDER, MARKS

from lung_attention.data.archive import open_archive
from lung_attention.data.members import find_members
from lung_attention.splits.published import published_split

pytestmark = MARKS

PINNED = {
    "iqoth": "f8f75582d17ee745b4110ca08f07beddcace4e2748bec6e233319433cfe36a4b",
    "lc25000": "a6bcd8774348f4cc2522567e92a1e944c2f578a525cca359eae28df61961ece5",
    "lidc_nodules": "adaffee745a1a2b7a6d354bcba19e0608397904a6a304b81e7073400229a4efc",
}
SUPPORTS = {"iqoth": [92, 110, 18], "lc25000": [480, 527, 493], "lidc_nodules": [211, 203]}


@cache
def names(dataset_id):
    """Image names and labels as the importer orders them, without reading the images."""
    path = Path(FOLDER) / f"{dataset_id}.zip"
    if not path.exists():
        pytest.skip(f"LUNG_ATTENTION_ARCHIVES has no {path.name}")
    with open_archive(path) as (files, _):
        members = find_members(files, DATASETS[dataset_id], path=path)
    return pd.DataFrame(
        {
            "image": [member.image for member in members],
            "label": [member.label for member in members],
            "group": "",
        }
    )


def split_of(manifest, dataset_id):
    """Test images in the manifest's order, and the supports in class order."""
    table = published_split(manifest, DATASETS[dataset_id].published_split, seed=10)
    test = table[table["subset"] == "test"]
    return test["image"].tolist(), [
        int((test["label"] == name).sum()) for name in DATASETS[dataset_id].labels
    ]


def digest(images):
    return hashlib.sha256("\n".join(images).encode()).hexdigest()


@pytest.mark.parametrize("dataset_id", PINNED)
def test_the_published_test_files(dataset_id):
    images, supports = split_of(names(dataset_id), dataset_id)
    assert supports == SUPPORTS[dataset_id]
    assert digest(images) == PINNED[dataset_id]


@pytest.mark.parametrize(("dataset_id", "same"), [("iqoth", 43), ("lc25000", None)])
def test_a_lexical_order_gives_the_same_supports_and_other_files(dataset_id, same):
    manifest = names(dataset_id)
    lexical = pd.concat(
        [manifest[manifest["label"] == name].sort_values("image") for name in DATASETS[dataset_id].labels],
        ignore_index=True,
    )
    images, supports = split_of(lexical, dataset_id)
    assert supports == SUPPORTS[dataset_id]
    assert digest(images) != PINNED[dataset_id]
    common = len(set(images) & set(split_of(manifest, dataset_id)[0]))
    if same is None:
        assert common < len(images) / 2
    else:
        assert common == same


@pytest.mark.parametrize("dataset_id", PINNED)
def test_the_archive_is_complete_and_the_first_files_are_in_natural_order(dataset_id):
    manifest, dataset = names(dataset_id), DATASETS[dataset_id]
    counts = {name: int((manifest["label"] == name).sum()) for name in dataset.classes}
    assert counts == (dataset.archive.counts or counts)
    if dataset_id == "iqoth":
        numbers = manifest["image"].str.extract(r"\((\d+)\)")[0].astype(int).tolist()
        assert numbers == [n for count in counts.values() for n in range(1, count + 1)]
    with zipfile.ZipFile(Path(FOLDER) / f"{dataset_id}.zip") as archive:
        assert len(archive.namelist()) >= len(manifest)
