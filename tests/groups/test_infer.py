import numpy as np
import pandas as pd
import pytest

from lung_attention.errors import UserError
from lung_attention.groups.infer import groups_with_two_labels, infer_groups
from lung_attention.groups.linking import components, equal_pairs, names
from lung_attention.groups.settings import FileBlocks, NearDuplicateGroups, PatientGroups, SourceTileGroups

PATIENTS = PatientGroups("patients", "patient", near_duplicate_cosine=0.98)
ALIKE = NearDuplicateGroups(
    "near_duplicates", "alike", "thumbnails_and_neighbours",
    cosine=0.9, neighbour_cosine=0.8, near_duplicate_cosine=0.98,
)  # fmt: skip
TILES = SourceTileGroups(
    "source_tiles", "tile", candidates=10, correlation=0.96, overlap_correlation=0.42, least_overlap=0.3
)


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
    assert infer_groups(table, noise(3), PATIENTS).tolist() == ["P2", "P1", "P2"]


def test_patients_who_share_a_file_are_joined():
    table = manifest(["a", "b", "c", "d"], patients=["P2", "P1", "P3", "P1"], sha256=["x", "y", "z", "x"])
    assert infer_groups(table, noise(4), PATIENTS).tolist() == ["P1", "P1", "P3", "P1"]


def test_patients_who_share_a_picture_are_joined():
    thumbnails = noise(3)
    thumbnails[2] = thumbnails[0] // 2 + 60  # the same picture in another window
    table = manifest(["a", "b", "c"], patients=["P1", "P2", "P3"])
    assert infer_groups(table, thumbnails, PATIENTS).tolist() == ["P1", "P2", "P1"]


def test_blocks_are_cut_from_the_files_of_each_class_in_the_order_of_their_numbers():
    images = [f"case ({number}).jpg" for number in (10, 1, 2, 9, 3, 4)] + ["n (1).jpg", "n (2).jpg"]
    table = manifest(images, labels=["benign"] * 6 + ["normal"] * 2)
    found = infer_groups(table, noise(8), FileBlocks("file_blocks", "half", blocks=2))
    assert found.groupby(found).groups.keys() == {f"block-000{k}" for k in range(1, 5)}
    assert [set(part) for _, part in table["image"].groupby(found.to_numpy(), sort=False)] == [
        {"case (10).jpg", "case (9).jpg", "case (4).jpg"},
        {"case (1).jpg", "case (2).jpg", "case (3).jpg"},
        {"n (1).jpg"},
        {"n (2).jpg"},
    ]


def test_blocks_that_hold_one_file_twice_are_one():
    images = [f"{number}.png" for number in range(4)]
    table = manifest(images, sha256=["a", "b", "c", "a"])
    assert infer_groups(table, noise(4), FileBlocks("file_blocks", "half", blocks=2)).nunique() == 1


def test_images_without_patient_stand_alone_unless_linked():
    table = manifest(["b", "a", "c", "d"], patients=["", "", "", "P1"], sha256=["x", "x", "y", "z"])
    assert infer_groups(table, noise(4), PATIENTS).tolist() == ["a", "a", "c", "P1"]


def test_images_that_look_alike_get_pseudo_groups_by_the_number_in_the_file_name():
    thumbnails = noise(3)
    thumbnails[1] = np.where(
        np.arange(64)[:, None, None] < 56, thumbnails[0], thumbnails[1]
    )  # cosine about .88
    images = ["Normal cases/Normal case (9).jpg", "Normal cases/Normal case (10).jpg", "Normal cases/x.jpg"]
    found = infer_groups(manifest(images), thumbnails, ALIKE)
    assert found.tolist() == ["pseudo-0001", "pseudo-0001", "pseudo-0002"]
    images[1] = "Normal cases/Normal case (11).jpg"
    assert infer_groups(manifest(images), thumbnails, ALIKE).nunique() == 3


def test_tiles_of_one_original_share_a_group_and_keeps_the_index():
    thumbnails = noise(3)
    thumbnails[2] = thumbnails[0, :, ::-1]
    table = manifest(["a", "b", "c"]).set_index(pd.Index([5, 6, 7]))
    found = infer_groups(table, thumbnails, TILES)
    assert found.to_dict() == {5: "tile-0001", 6: "tile-0002", 7: "tile-0001"}
    assert found.name == "group"


def test_patients_that_nobody_tells_are_refused():
    with pytest.raises(UserError, match="no image tells one") as caught:
        infer_groups(manifest(["a", "b"]), noise(2), PATIENTS)
    assert "table.patient" in caught.value.remedy
    # One patient is enough: the others may stand alone.
    assert infer_groups(manifest(["a", "b"], patients=["", "P1"]), noise(2), PATIENTS).tolist() == ["a", "P1"]


def test_how_alike_a_shared_picture_must_be_is_the_datasets():
    thumbnails = noise(2)
    thumbnails[1] = np.where(np.arange(64)[:, None, None] < 56, thumbnails[0], thumbnails[1])  # about .88
    table = manifest(["a", "b"], patients=["P1", "P2"])
    loose = PatientGroups("patients", "patient", near_duplicate_cosine=0.8)
    assert infer_groups(table, thumbnails, PATIENTS).nunique() == 2
    assert infer_groups(table, thumbnails, loose).tolist() == ["P1", "P1"]


def test_as_many_thumbnails_as_images():
    with pytest.raises(UserError, match="2 images"):
        infer_groups(manifest(["a", "b"]), noise(1), PATIENTS)


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
