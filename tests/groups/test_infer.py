import numpy as np
import pandas as pd
import pytest

from lung_attention.errors import UserError
from lung_attention.groups.infer import groups_with_two_labels, infer_groups
from lung_attention.groups.linking import components, equal_pairs, names
from lung_attention.groups.near_duplicates import NearDuplicateGroups
from lung_attention.groups.source_tiles import SourceTileGroups

SETTINGS = {
    "near_duplicate_cosine": 0.98,
    "pseudo": NearDuplicateGroups("thumbnails_and_neighbours", cosine=0.9, neighbour_cosine=0.8),
    "source": SourceTileGroups(
        candidates=10, correlation=0.96, overlap_correlation=0.42, least_overlap=0.3
    ),
}


def noise(n, seed=0):
    """Thumbnails of which no two are alike."""
    grey = np.random.default_rng(seed).integers(0, 256, (n, 64, 64, 1), dtype=np.uint8)
    return np.repeat(grey, 3, axis=3)


def manifest(images, *, patients=None, sha256=None, labels=None):
    n = len(images)
    return pd.DataFrame(
        {
            "image": images,
            "label": labels or ["benign"] * n,
            "sha256": sha256 or [f"digest {k}" for k in range(n)],
            "group": patients or [""] * n,
        }
    )


def test_patients_are_kept():
    table = manifest(["a", "b", "c"], patients=["P2", "P1", "P2"])
    assert infer_groups(table, noise(3), "lidc", **SETTINGS).tolist() == ["P2", "P1", "P2"]


def test_patients_who_share_a_file_are_joined():
    table = manifest(["a", "b", "c", "d"], patients=["P2", "P1", "P3", "P1"], sha256=["x", "y", "z", "x"])
    assert infer_groups(table, noise(4), "lidc_nodules", **SETTINGS).tolist() == ["P1", "P1", "P3", "P1"]


def test_patients_who_share_a_picture_are_joined():
    thumbnails = noise(3)
    thumbnails[2] = thumbnails[0] // 2 + 60  # the same picture in another window
    table = manifest(["a", "b", "c"], patients=["P1", "P2", "P3"])
    assert infer_groups(table, thumbnails, "lidc_nodules", **SETTINGS).tolist() == ["P1", "P2", "P1"]


def test_images_without_patient_stand_alone_unless_linked():
    table = manifest(["b", "a", "c", "d"], patients=["", "", "", "P1"], sha256=["x", "x", "y", "z"])
    assert infer_groups(table, noise(4), "lidc", **SETTINGS).tolist() == ["a", "a", "c", "P1"]


def test_iqoth_gets_pseudo_groups_by_the_number_in_the_file_name():
    thumbnails = noise(3)
    thumbnails[1] = np.where(
        np.arange(64)[:, None, None] < 56, thumbnails[0], thumbnails[1]
    )  # cosine about .88
    images = ["Normal cases/Normal case (9).jpg", "Normal cases/Normal case (10).jpg", "Normal cases/x.jpg"]
    found = infer_groups(manifest(images), thumbnails, "iqoth", **SETTINGS)
    assert found.tolist() == ["pseudo-0001", "pseudo-0001", "pseudo-0002"]
    images[1] = "Normal cases/Normal case (11).jpg"
    assert infer_groups(manifest(images), thumbnails, "iqoth", **SETTINGS).nunique() == 3


def test_lc25000_gets_source_tiles_and_keeps_the_index():
    thumbnails = noise(3)
    thumbnails[2] = thumbnails[0, :, ::-1]
    table = manifest(["a", "b", "c"]).set_index(pd.Index([5, 6, 7]))
    found = infer_groups(table, thumbnails, "lc25000", **SETTINGS)
    assert found.to_dict() == {5: "tile-0001", 6: "tile-0002", 7: "tile-0001"}
    assert found.name == "group"


def test_an_unknown_dataset_is_refused():
    with pytest.raises(UserError, match="Received: mnist"):
        infer_groups(manifest(["a"]), noise(1), "mnist", **SETTINGS)


def test_as_many_thumbnails_as_images():
    with pytest.raises(UserError, match="2 images"):
        infer_groups(manifest(["a", "b"]), noise(1), "lidc", **SETTINGS)


def test_groups_with_two_labels():
    labels = np.array(["malignant", "benign", "benign", "benign", "normal"], dtype=object)
    groups = np.array(["g2", "g2", "g1", "g1", "g2"], dtype=object)
    assert groups_with_two_labels(labels, groups) == {"g2": ["benign", "malignant", "normal"]}


def test_components_are_numbered_by_first_appearance():
    links = [(np.array([4]), np.array([1])), (np.array([3, 3]), np.array([0, 3]))]
    assert components(6, links).tolist() == [0, 1, 2, 0, 1, 3]
    assert components(2, []).tolist() == [0, 1]


def test_equal_pairs_skip_what_is_not_known():
    first, second = equal_pairs(np.array(["", "a", "", "b", "a", "a"], dtype=object))
    assert (first.tolist(), second.tolist()) == ([1, 1], [4, 5])


def test_names_sort_as_they_are_numbered():
    assert names(np.array([0, 11]), prefix="tile").tolist() == ["tile-0001", "tile-0012"]
    assert names(np.array([0, 9999]), prefix="tile").tolist() == ["tile-00001", "tile-10000"]
