"""`lidc_nodules` rebuilt from a bucket on 127.0.0.1: which nodules, which slices, which square."""

import io
import json
import zipfile

import numpy as np
import pytest
from ct_phantom import Bucket, series, serving, settings, slice_file
from known import DATASETS
from PIL import Image

from lung_attention.data.manifest import import_archive
from lung_attention.data.sources.annotations import Nodule
from lung_attention.data.sources.nodules import central_planes, cut_nodules, cut_square
from lung_attention.data.sources.rebuild import HEAD_BYTES


def nodule(planes, *, z=None, number=0, ratings=(1, 2, 2), row=20.0, column=30.0, uid="1.2.3", patient=1):
    height = float(np.mean(planes)) if z is None else z
    return Nodule(f"LIDC-IDRI-{patient:04d}", uid, number, ratings, row, column, height, tuple(planes))


def drawn(z, *, row=20, column=30, spacing=(0.5, 1.0), **options):
    """64 by 64 pixels of lung with a nodule of 4 mm by 4 mm whose HU tells the slice."""
    hu = np.full((64, 64), -1000.0)
    # Four mm are 8 rows, but 4 columns.
    hu[row - 4 : row + 4, column - 2 : column + 2] = -500.0 + 10 * z
    return slice_file(hu, z=z, spacing=spacing, **options)


@pytest.fixture
def bucket(monkeypatch):
    with serving(Bucket(), monkeypatch) as served:
        yield served


def images(archive):
    with zipfile.ZipFile(archive) as files:
        return {
            name: np.asarray(Image.open(io.BytesIO(files.read(name))))
            for name in files.namelist()
            if name.endswith(".png")
        }


def cut(tmp_path, chosen, rows):
    target = tmp_path / "a.zip"
    record = cut_nodules(
        target, DATASETS["lidc_nodules"], chosen, rows, work=tmp_path / "work", rebuild=settings()
    )
    return target, record


def test_the_square_lies_around_the_centre_in_millimetres():
    hu = np.full((64, 64), -1000.0)
    hu[16:24, 28:32] = 0.0  # 4 mm by 4 mm around (19.5, 29.5)
    patch = cut_square(
        hu, centre=(19.5, 29.5), spacing_mm=(0.5, 1.0), size_mm=8.0, size_px=16, outside_hu=-1350.0
    )
    # Half a millimetre a pixel: rows fall on rows, each column on a quarter between two.
    assert np.array_equal(patch[:, 8] == 0, [4 <= row < 12 for row in range(16)])
    assert patch[8].tolist() == [-1000.0] * 3 + [-750, -250] + [0.0] * 6 + [-250, -750] + [-1000.0] * 3
    assert np.array_equal(patch, patch[::-1, ::-1])


def test_outside_the_slice_is_black():
    patch = cut_square(
        np.zeros((10, 10)), centre=(0.0, 0.0), spacing_mm=(1, 1), size_mm=8.0, size_px=8, outside_hu=-1350.0
    )
    assert (patch[:4] == -1350).all() and (patch[:, :4] == -1350).all() and (patch[4:, 4:] == 0).all()


def test_central_planes_are_the_nearest_ones_from_the_feet_up():
    planes = (0.0, 2.0, 4.0, 6.0, 8.0)
    assert central_planes(nodule(planes, z=4.1), 3) == [2.0, 4.0, 6.0]
    assert central_planes(nodule(planes, z=0.2), 3) == [0.0, 2.0, 4.0]
    assert central_planes(nodule(planes, z=3.0), 1) == [2.0]
    assert central_planes(nodule((5.0, 7.0)), 3) == [5.0, 7.0]


def test_nodules_are_cut_from_the_right_slices(tmp_path, bucket):
    heights = [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    # Neither names nor instance numbers follow the positions.
    names = ["f", "a", "d", "b", "e", "c"]
    contents = {
        f"{name}.dcm": drawn(z, number=number)
        for name, z, number in zip(names, heights, [2, 5, 1, 6, 3, 4], strict=True)
    }
    bucket.put("folder-1", contents)
    chosen = {
        "benign": [nodule(heights[:5], number=0, row=19.5, column=29.5)],
        "malignant": [nodule([10.0], number=4, ratings=(5, 5, 4), row=19.5, column=29.5)],
    }
    archive, record = cut(tmp_path, chosen, [series(contents)])
    found = images(archive)
    prefix = "LIDC-IDRI-nodules"
    assert list(found) == [
        f"{prefix}/benign/LIDC-IDRI-0001_nodule-0_slice-0.png",
        f"{prefix}/benign/LIDC-IDRI-0001_nodule-0_slice-1.png",
        f"{prefix}/benign/LIDC-IDRI-0001_nodule-0_slice-2.png",
        f"{prefix}/malignant/LIDC-IDRI-0001_nodule-4_slice-0.png",
    ]
    for image, z in zip(found.values(), [2.0, 4.0, 6.0, 10.0], strict=True):
        assert image.shape == (16, 16)
        expected = int(np.floor(((-500 + 10 * z + 600.5) / 1499 + 0.5) * 255 + 0.5))
        assert (image[4:12, 6:10] == expected).all()
        assert (image[:3] == 60).all() and (image[:, :3] == 60).all()  # -1000 HU
    assert record["nodules"] == {"benign": 1, "malignant": 1}
    table = import_archive(
        archive,
        DATASETS["lidc_nodules"],
        archive=tmp_path / "out.zip",
        manifest=tmp_path / "out.csv",
        check_counts=False,
    )
    assert set(table["group"]) == {"LIDC-IDRI-0001"}
    with zipfile.ZipFile(archive) as files:
        assert json.loads(files.read(f"{prefix}/record.json")) == record


def test_only_what_is_needed_is_transferred(tmp_path, bucket):
    contents = {f"{k}.dcm": drawn(2.0 * k, number=k) for k in range(8)}
    bucket.put("folder-1", contents)
    chosen = {"benign": [nodule([4.0, 6.0])], "malignant": [nodule([4.0], number=1)]}
    cut(tmp_path, chosen, [series(contents)])
    asked = [(key.rpartition("/")[2], span) for key, span in bucket.requests if key]
    assert {name for name, span in asked if span} == set(contents)
    assert {span for _, span in asked if span} == {f"bytes=0-{HEAD_BYTES - 1}"}
    assert sorted(name for name, span in asked if not span) == ["2.dcm", "3.dcm"]  # each once
    bucket.requests.clear()
    (tmp_path / "a.zip").unlink()
    cut(tmp_path, chosen, [series(contents)])  # as after an interruption
    assert [key for key, _ in bucket.requests if key] == []


def test_a_long_header_is_read_whole(tmp_path, bucket, monkeypatch):
    monkeypatch.setattr("lung_attention.data.sources.rebuild.HEAD_BYTES", 200)
    contents = {f"{k}.dcm": drawn(2.0 * k, number=k) for k in range(3)}
    bucket.put("folder-1", contents)
    archive, _ = cut(
        tmp_path, {"benign": [nodule([2.0])], "malignant": [nodule([4.0], number=1)]}, [series(contents)]
    )
    assert len(images(archive)) == 2


def test_a_plane_without_a_slice_is_reported_and_left_out(tmp_path, bucket, capsys):
    contents = {f"{k}.dcm": drawn(2.0 * k, number=k) for k in (0, 1, 2, 5)}
    bucket.put("folder-1", contents)
    chosen = {"benign": [nodule([4.0, 6.0])], "malignant": [nodule([4.1], number=1)]}
    archive, record = cut(tmp_path, chosen, [series(contents)])
    assert [name.rpartition("/")[2] for name in images(archive)] == [
        "LIDC-IDRI-0001_nodule-0_slice-0.png",
        "LIDC-IDRI-0001_nodule-1_slice-0.png",
    ]
    assert record["left_out"] == [
        "benign/LIDC-IDRI-0001_nodule-0_slice-1.png: the series has no slice at z = 6 mm"
    ]
    assert record["series"][0]["missing_slices"] == [{"after": 3, "missing": 2}]
    assert "no slice at z = 6 mm; left out" in capsys.readouterr().err


def test_series_of_two_patients_stay_apart(tmp_path, bucket):
    rows, chosen = [], {"benign": [], "malignant": []}
    for patient, label, z in ((1, "benign", 2.0), (2, "malignant", 4.0)):
        contents = {f"{k}.dcm": drawn(2.0 * k, number=k) for k in range(4)}
        folder, uid = f"folder-{patient}", f"1.2.{patient}"
        bucket.put(folder, contents)
        rows.append(series(contents, patient=f"LIDC-IDRI-{patient:04d}", folder=folder, uid=uid))
        chosen[label].append(nodule([z], uid=uid, patient=patient))
    archive, record = cut(tmp_path, chosen, rows)
    assert [name.partition("/")[2] for name in images(archive)] == [
        "benign/LIDC-IDRI-0001_nodule-0_slice-0.png",
        "malignant/LIDC-IDRI-0002_nodule-0_slice-0.png",
    ]
    assert [each["images"] for each in record["series"]] == [1, 1]
