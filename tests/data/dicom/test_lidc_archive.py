"""`lidc` rebuilt from a bucket on 127.0.0.1: the right slices under the right names, and what is doubtful."""

import io
import json
import zipfile
from collections import Counter, defaultdict

import numpy as np
import pytest
from ct_phantom import Bucket, multi_frame_file, series, serving, settings, slice_file
from known import DATASETS
from PIL import Image
from pydicom.uid import RLELossless

from lung_attention.data.manifest import import_archive
from lung_attention.data.sources.collection import ct_series
from lung_attention.data.sources.lidc import cut_lidc, listed_slices, parse_listed, series_of_slices
from lung_attention.data.sources.transfer import TransferError
from lung_attention.errors import UserError

LIDC = DATASETS["lidc"]
COUNTS = {
    1: 133, 11: 128, 12: 128, 28: 141, 49: 133, 62: 117, 100: 269, 124: 117,
    129: 253, 143: 133, 149: 143, 164: 258, 174: 133, 189: 117, 205: 135,
}  # fmt: skip
STEP = 10  # the slice at height z is of this many HU times z: each has a grey of its own


def flat(z, **options):
    """A slice of one value that tells its height."""
    return slice_file(np.full((4, 4), -1000.0 + STEP * z), z=z, **options)


def grey_at(z):
    return int(np.floor(((-1000 + STEP * z + 600.5) / 1499 + 0.5) * 255 + 0.5))


def greys(archive):
    """The grey of each image, by its path below the top folder."""
    found = {}
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            if name.endswith(".png"):
                with Image.open(io.BytesIO(files.read(name))) as image:
                    values = set(np.asarray(image).ravel().tolist())
                assert len(values) == 1
                found[name.removeprefix("LIDC_IDRI_PNG_CONV/")] = values.pop()
    return found


def cut(tmp_path, listed, rows, name="a.zip"):
    target = tmp_path / name
    record = cut_lidc(
        target,
        LIDC,
        [parse_listed(image, LIDC) for image in listed],
        rows,
        work=tmp_path / "work",
        rebuild=settings(),
    )
    return target, record


@pytest.fixture
def bucket(monkeypatch):
    with serving(Bucket(), monkeypatch) as served:
        yield served


def test_the_list_is_the_papers():
    listed = listed_slices(LIDC)
    parts = Counter(each.image.split("/")[0] for each in listed)
    assert parts == {"train": 1323, "valid": 330, "test": 413}
    classes = Counter(each.image.split("/")[1] for each in listed)
    assert classes == LIDC.archive.counts
    assert len({each.image for each in listed}) == 2066


def test_a_hundred_slices_carry_both_labels_and_a_memoriser_scores_about_as_the_paper():
    """Who only remembers which class most training slices of a patient have is right in .949 of the test."""
    labels = defaultdict(set)
    train = defaultdict(Counter)
    for each in listed_slices(LIDC):
        part, label, _ = each.image.split("/")
        labels[each.patient, each.number].add(label)
        if part == "train":
            train[each.patient][label] += 1
    both = [patient for (patient, _), names in labels.items() if len(names) == 2]
    assert Counter(both) == {"LIDC-IDRI-0174": 70, "LIDC-IDRI-0205": 30}
    test = [each for each in listed_slices(LIDC) if each.image.startswith("test/")]
    right = sum(
        max(train[each.patient], key=train[each.patient].get) == each.image.split("/")[1] for each in test
    )
    assert (right, len(test)) == (392, 413)


def test_the_series_resolve_offline():
    found = {row.patient: row for row in series_of_slices(listed_slices(LIDC))}
    assert {int(patient[-4:]): row.instances for patient, row in found.items()} == COUNTS
    assert found["LIDC-IDRI-0001"].uid == "1.3.6.1.4.1.14519.5.2.1.6279.6001.179049373636438705059720603192"
    assert found["LIDC-IDRI-0001"].bucket == "idc-open-data"
    assert round(sum(row.bytes for row in found.values()) / 1e9, 2) == 1.23
    assert len(ct_series()) == 1018
    assert len({row.patient for row in ct_series()}) == 1010


def test_every_number_of_the_list_fits_its_series_and_only_one_slice_of_0011_is_not_listed():
    numbers = defaultdict(set)
    for each in listed_slices(LIDC):
        numbers[int(each.patient[-4:])].add(each.number)
    assert all(min(found) >= 1 and max(found) <= COUNTS[patient] for patient, found in numbers.items())
    assert set(range(1, 129)) - numbers[11] == {61}


@pytest.mark.parametrize(
    ("numbers", "first"),
    [
        ([1, 2, 3, 4, 5], "feet"),
        ([5, 4, 3, 2, 1], "head"),
        ([3, 1, 5, 2, 4], "head"),  # they say nothing: counted from the head
        ([11, 12, 13, 14, 15], "feet"),
    ],
)
def test_slices_are_counted_by_position_from_the_end_where_numbers_begin(tmp_path, bucket, numbers, first):
    heights = [0.0, 2.0, 4.0, 6.0, 8.0]
    # Names run against the positions: they must not matter.
    contents = {
        f"{9 - i}.dcm": flat(z, number=number)
        for i, (z, number) in enumerate(zip(heights, numbers, strict=True))
    }
    bucket.put("folder-1", contents)
    listed = ["train/malignant/11-001 (1).dcm.png", "test/malignant/11-001 (4).dcm.png"]
    archive, record = cut(tmp_path, listed, [series(contents, patient="LIDC-IDRI-0011")])
    ordered = heights if first == "feet" else heights[::-1]
    assert greys(archive) == {listed[0]: grey_at(ordered[0]), listed[1]: grey_at(ordered[3])}
    assert record["series"][0]["numbered_from"] == first
    with zipfile.ZipFile(archive) as files:
        assert json.loads(files.read("LIDC_IDRI_PNG_CONV/record.json")) == record


def test_short_names_are_of_two_patients(tmp_path, bucket):
    rows = []
    for index, patient in enumerate(["LIDC-IDRI-0001", "LIDC-IDRI-0100"]):
        contents = {f"{k}.dcm": flat(10.0 * index + k, number=k) for k in (1, 2, 3)}
        bucket.put(patient, contents)
        rows.append(series(contents, patient=patient, folder=patient, uid=patient))
    listed = ["test/malignant/1-002.dcm.png", "test/benign/1-002.dcm.png", "train/benign/100-001 (2).dcm.png"]
    archive, _ = cut(tmp_path, listed, rows)
    assert greys(archive) == {listed[0]: grey_at(2), listed[1]: grey_at(12), listed[2]: grey_at(12)}


def test_a_number_beyond_the_series_is_reported_and_left_out(tmp_path, bucket, capsys):
    contents = {f"{k}.dcm": flat(k, number=k) for k in (1, 2)}
    bucket.put("folder-1", contents)
    listed = ["train/malignant/11-001 (2).dcm.png", "train/malignant/11-001 (3).dcm.png"]
    archive, record = cut(tmp_path, listed, [series(contents, patient="LIDC-IDRI-0011")])
    assert list(greys(archive)) == [listed[0]]
    assert record["left_out"] == [f"{listed[1]}: LIDC-IDRI-0011 has no slice 3"]
    assert "LIDC-IDRI-0011 has no slice 3" in capsys.readouterr().err


def test_missing_and_repeated_slices_are_reported(tmp_path, bucket):
    contents = {f"{k}.dcm": flat(k, number=k) for k in (1, 2, 3, 6, 7)} | {"twin.dcm": flat(7, number=9)}
    bucket.put("folder-1", contents)
    _, record = cut(
        tmp_path, ["train/malignant/11-001 (2).dcm.png"], [series(contents, patient="LIDC-IDRI-0011")]
    )
    told = record["series"][0]
    assert told["missing_slices"] == [{"after": 3, "missing": 2}]
    assert told["repeated_slices"] == ["twin.dcm"]


def test_compression_and_inverted_display_end_in_the_same_greys(tmp_path, bucket):
    contents = {
        "rle.dcm": flat(3.0, syntax=RLELossless),
        "inverted.dcm": flat(2.0, photometric="MONOCHROME1", slope=-1.0, intercept=2000.0),
        "plain.dcm": flat(1.0, slope=0.5, intercept=-2000.0),
    }
    bucket.put("folder-1", contents)
    listed = [f"train/malignant/11-001 ({k}).dcm.png" for k in (1, 2, 3)]
    archive, _ = cut(tmp_path, listed, [series(contents, patient="LIDC-IDRI-0011")])
    # Without useful numbers slices are counted from the head.
    assert [greys(archive)[name] for name in listed] == [grey_at(z) for z in (3, 2, 1)]


def test_a_broken_file_is_named_and_no_archive_is_left(tmp_path, bucket):
    contents = {f"{k}.dcm": flat(k, number=k) for k in (1, 2, 3)}
    contents["2.dcm"] = contents["2.dcm"][:-7]  # its header is whole
    bucket.put("folder-1", contents)
    (tmp_path / "a.zip").write_bytes(b"as before")
    with pytest.raises(
        UserError, match=r"2\.dcm, a slice of series 1\.2\.3 of LIDC-IDRI-0011, cannot be read"
    ):
        cut(tmp_path, ["train/malignant/11-001 (2).dcm.png"], [series(contents, patient="LIDC-IDRI-0011")])
    assert (tmp_path / "a.zip").read_bytes() == b"as before"
    assert not list(tmp_path.glob(".unfinished*"))


def test_a_file_of_several_frames_is_named_and_no_archive_is_left(tmp_path, bucket):
    contents = {"1.dcm": flat(1), "many.dcm": multi_frame_file(np.zeros((2, 4, 4)))}
    bucket.put("folder-1", contents)
    with pytest.raises(UserError, match=r"many\.dcm, a slice of series .* it is a multi-frame file"):
        cut(tmp_path, ["train/malignant/11-001 (1).dcm.png"], [series(contents, patient="LIDC-IDRI-0011")])
    assert not (tmp_path / "a.zip").exists()


def test_the_whole_subset_from_series_of_the_true_size(tmp_path, bucket):
    """All 15 series with the index's own counts, each slice tiny: 2,066 images that `lidc` accepts."""
    rows = series_of_slices(listed_slices(LIDC))
    for row in rows:
        # One drawn slice a patient, its place and number changed in the bytes.
        template = slice_file(np.full((2, 2), -500.0), z=-10000.5, number=10000)
        contents = {
            f"{k:04d}.dcm": template.replace(b"-10000.5", f"{-k:8.1f}".encode()).replace(
                b"10000 ", f"{k:6d}".encode()
            )
            for k in range(1, row.instances + 1)
        }
        bucket.put(row.folder, contents)
        # Most of it is here from an interrupted run, since thousands of transfers take long.
        (tmp_path / "work" / row.uid).mkdir(parents=True)
        for name, content in contents.items():
            if not name.startswith("000"):
                (tmp_path / "work" / row.uid / name).write_bytes(content)
    archive = tmp_path / "lidc.zip"
    record = cut_lidc(archive, LIDC, listed_slices(LIDC), rows, work=tmp_path / "work", rebuild=settings())
    table = import_archive(
        archive,
        LIDC,
        archive=tmp_path / "out.zip",
        manifest=tmp_path / "out.csv",
        check_counts=True,
    )
    assert len(table) == 2066 and table["group"].nunique() == 15
    assert record["left_out"] == []
    assert {each["numbered_from"] for each in record["series"]} == {"head"}
    assert any("LIDC-IDRI-0174: 70 slices" in doubt for doubt in record["doubtful"])


def test_a_bucket_with_fewer_files_than_the_index_says_is_refused(tmp_path, bucket):
    contents = {"1.dcm": flat(1), "2.dcm": flat(2)}
    bucket.put("folder-1", {"1.dcm": contents["1.dcm"]})
    with pytest.raises(TransferError, match=r"has 1 files of series .* expected 2"):
        cut(tmp_path, [], [series(contents)])
