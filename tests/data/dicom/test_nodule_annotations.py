"""The radiologists' annotations: readings become nodules, nodules become labels."""

import dataclasses
import sqlite3
import zipfile
from contextlib import closing

import numpy as np
import pytest
from ct_phantom import Bucket, serving, settings, slice_file
from known import DATASETS

from lung_attention.data.sources.annotations import Nodule, read_nodules, write_nodules
from lung_attention.data.sources.collection import series_of_identifiers
from lung_attention.data.sources.nodules import (
    choose_nodules,
    cut_nodules,
    nodules_transfer_bytes,
    series_of_nodules,
)
from nodule_table import group_readings, nodules_of


@pytest.fixture(scope="module")
def nodules():
    return read_nodules()


def patients(chosen):
    return {nodule.patient for nodules in chosen.values() for nodule in nodules}


def test_the_published_numbers_of_nodules():
    """At least 3 readers, the median rating, 3 left out; 2.5 and 3.5 are the nearest other medians."""
    chosen = choose_nodules(settings(benign_at_most=2.5, malignant_at_least=3.5))
    assert {label: len(found) for label, found in chosen.items()} == {"benign": 449, "malignant": 430}
    assert len(patients(chosen)) == 535


def test_leaving_out_the_medians_beside_3_too_costs_a_third():
    chosen = choose_nodules(settings(benign_at_most=2, malignant_at_least=4))
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
    few = choose_nodules(settings(max_patients=10))
    everyone = choose_nodules(settings())
    assert patients(few) == set(sorted(patients(everyone))[:10])
    assert 1.8e9 < nodules_transfer_bytes(everyone, slices=3) < 2e9
    assert 10e6 < nodules_transfer_bytes(few, slices=3) < 60e6


def test_the_true_nodules_of_two_patients_are_cut(tmp_path, monkeypatch):
    """Index, annotations and the nodules' heights are the true ones; only the images are drawn."""
    rebuild = settings(max_patients=2, size_mm=64.0, size_px=32)
    chosen = choose_nodules(rebuild)
    own = [nodule for found in chosen.values() for nodule in found]
    bucket = Bucket()
    for row in series_of_identifiers({nodule.series for nodule in own}):
        heights = {z for nodule in own if nodule.series == row.uid for z in nodule.planes_mm}
        heights |= {min(heights) - 2.0 * k for k in range(1, 1 + row.instances - len(heights))}
        template = slice_file(np.zeros((2, 2)), z=-10000.5)
        bucket.put(
            row.folder,
            {
                f"{k}.dcm": template.replace(b"-10000.5", f"{z:8.2f}".encode())
                for k, z in enumerate(sorted(heights))
            },
        )
    with serving(bucket, monkeypatch):
        record = cut_nodules(
            tmp_path / "a.zip",
            DATASETS["lidc_nodules"],
            chosen,
            series_of_nodules(chosen),
            work=tmp_path / "work",
            rebuild=rebuild,
        )
    assert record["nodules"] == {label: len(found) for label, found in chosen.items()}
    assert record["left_out"] == []
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


def test_the_table_gives_back_the_very_numbers(tmp_path):
    nodules = [
        Nodule("LIDC-IDRI-0007", "1.2.840.10", 0, (1, 5, 3), 1 / 3, 2e-9, -147.544998, (-147.544998, -145.0)),
        Nodule("LIDC-IDRI-0007", "1.2.840.10", 1, (4,), 100.0, 0.1 + 0.2, 7.0, (7.0,)),
    ]
    write_nodules(tmp_path / "n.csv", nodules)
    assert list(map(dataclasses.astuple, read_nodules(tmp_path / "n.csv"))) == list(
        map(dataclasses.astuple, nodules)
    )


def test_the_table_is_made_of_a_database_of_readings(tmp_path):
    """Two readers outline one nodule in two slices, one of them another nodule further down."""
    with closing(sqlite3.connect(tmp_path / "p.sqlite")) as database:
        database.executescript(
            """
            CREATE TABLE scans (id, patient_id, series_instance_uid, slice_thickness);
            CREATE TABLE zvals (scan_id, val);
            CREATE TABLE annotations (id, scan_id, malignancy);
            CREATE TABLE contours (id, annotation_id, image_z_position, coords);
            INSERT INTO scans VALUES (1, 'LIDC-IDRI-0002', '1.2', 2.5), (2, 'LIDC-IDRI-0001', '1.1', 2.5);
            INSERT INTO zvals VALUES (1, 0), (1, 2.5), (1, 5), (1, 50);
            INSERT INTO annotations VALUES (10, 1, 4), (11, 1, 5), (12, 1, 1);
            INSERT INTO contours VALUES
                (100, 10, 50, '100,40' || char(10) || '102,40'),
                (101, 11, 50, '101,41'), (102, 11, 5, '101,43'),
                (103, 12, 0, '300,200');
            """
        )
        database.commit()
    lower, upper = nodules_of(tmp_path / "p.sqlite")
    assert lower == Nodule("LIDC-IDRI-0002", "1.2", 0, (1,), 200.0, 300.0, 0.0, (0.0,))
    # Columns stand first in the database; centre and height are means over readers.
    assert upper == Nodule("LIDC-IDRI-0002", "1.2", 1, (4, 5), 41.0, 101.0, 38.75, (5.0, 50.0))
