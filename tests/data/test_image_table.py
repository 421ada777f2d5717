"""The table beside the images: its columns in the manifest, or a message that names file and image."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from known import DATASETS

from lung_attention.config.datasets import ImageTable
from lung_attention.data.image_table import read_image_table, with_image_table
from lung_attention.errors import UserError

SLICES = DATASETS["lidc_slices"]
ROOT = SLICES.archive.root
MANIFEST = pd.DataFrame(
    {
        "image": ["malignant/a.jpg", "malignant/b.jpg", "benign/c.jpg"],
        "label": ["malignant", "malignant", "benign"],
        "width": [224, 224, 224],
        "group": "",
    }
)
TEXT = """\
diameter,patient,image,note,x
10.5,P2,malignant/b.jpg,large,3
7,P1,malignant/a.jpg,,1
4.25,P1,benign/c.jpg,12,2
1,P9,benign/elsewhere.jpg,n/a,9
"""


def dataset(*, root=ROOT, **table):
    values = {
        "file": "boxes.csv",
        "image": "image",
        "patient": "patient",
        "sha256": None,
        "covariates": [],
        **table,
    }
    archive = SLICES.archive.model_copy(update={"root": root})
    return SLICES.model_copy(update={"table": ImageTable(**values), "archive": archive})


def read(text=TEXT, *, place=f"{ROOT}/boxes.csv", of=None, more=()):
    files = {place: text.encode(), **dict(more)}
    return read_image_table(of or dataset(), list(files), files.__getitem__)


def carried(text=TEXT, *, of=None, manifest=MANIFEST):
    of = of or dataset()
    return with_image_table(manifest, read(text, of=of), of)


def refusal(text=TEXT, **options):
    with pytest.raises(UserError) as caught:
        carried(text, **options)
    assert "boxes.csv" in caught.value.problem
    return caught.value.problem


def test_columns_are_carried_in_the_manifests_order():
    before = MANIFEST.copy()
    table = carried()
    assert list(table.columns) == ["image", "label", "width", "group", "diameter", "note", "x"]
    assert table["image"].tolist() == MANIFEST["image"].tolist()
    assert table["group"].tolist() == ["P1", "P2", "P1"]
    assert table["diameter"].tolist() == [7.0, 10.5, 4.25]
    assert table["x"].tolist() == [1, 3, 2]
    pd.testing.assert_frame_equal(MANIFEST, before)


def test_a_column_is_numbers_only_where_all_are():
    table = carried()
    assert table["diameter"].dtype == np.float64
    assert table["x"].dtype == np.int64
    assert table["note"].tolist() == ["", "large", "12"]  # text stays text, and n/a would, too


def test_patients_that_look_like_numbers_stay_text():
    assert carried(TEXT.replace("P1", "0001").replace("P2", "2"))["group"].tolist() == ["0001", "2", "0001"]


def test_the_top_folder_may_stand_in_the_paths():
    text = TEXT.replace("malignant/", f"{ROOT}/malignant/").replace("benign/", f"{ROOT}/benign/")
    pd.testing.assert_frame_equal(carried(text), carried())


def test_without_a_patients_column_the_group_is_that_of_the_names():
    manifest = MANIFEST.assign(group=["N1", "N2", "N3"])
    table = carried(of=dataset(patient=None), manifest=manifest)
    assert table["group"].tolist() == ["N1", "N2", "N3"]
    assert table["patient"].tolist() == ["P1", "P2", "P1"]  # a column as any other


@pytest.mark.parametrize("root", [ROOT, ""])
def test_a_table_in_the_archive_lies_below_the_top_folder(root):
    place = f"{root}/boxes.csv" if root else "boxes.csv"
    expected = read()
    for prefix in ("", "deeper/"):
        found = read(of=dataset(root=root), place=f"{prefix}{place}")
        pd.testing.assert_frame_equal(found, expected)
    with pytest.raises(
        UserError, match=rf"datasets/lidc_slices\.yaml: table\.file: the archive has no {place}"
    ):
        read(of=dataset(root=root), place="other.csv")


@pytest.mark.parametrize(
    ("root", "place"),
    [(ROOT, f"{ROOT}/old-boxes.csv"), (ROOT, f"old-{ROOT}/boxes.csv"), ("", "old-boxes.csv")],
)
def test_a_file_whose_name_only_ends_alike_is_not_the_table(root, place):
    with pytest.raises(UserError, match="the archive has no"):
        read(of=dataset(root=root), place=place)


# ----- What is refused -----


def test_an_image_without_a_row():
    problem = refusal(TEXT.replace("malignant/a.jpg", "malignant/z.jpg"))
    assert "no row for 1 images, the first 'malignant/a.jpg'" in problem


def test_an_image_with_two_rows():
    assert "'malignant/a.jpg' has several rows" in refusal(TEXT + "1,P1,malignant/a.jpg,,5\n")


def test_an_image_with_two_rows_one_of_which_has_the_top_folder():
    assert "'malignant/a.jpg' has several rows" in refusal(TEXT + f"1,P1,{ROOT}/malignant/a.jpg,,5\n")


@pytest.mark.parametrize("column", ["image", "patient"])
def test_a_missing_column(column):
    problem = refusal(of=dataset(**{column: "path"}))
    assert "no column 'path'; found diameter, patient, image, note, x" in problem


def test_an_empty_patient():
    assert "image 'benign/c.jpg' has no patient" in refusal(TEXT.replace("4.25,P1", "4.25,"))


@pytest.mark.parametrize("name", ["width", "label", "group"])
def test_a_column_named_as_one_of_the_manifests(name):
    assert f"the column name {name!r} is taken" in refusal(TEXT.replace(",x\n", f",{name}\n", 1))


@pytest.mark.parametrize("text", ["", 'image,patient\n"a', "image,patient\na,b,c\nd,e,f,g,h\n"])
def test_what_is_no_table(text):
    with pytest.raises(UserError, match=r"boxes\.csv"):
        read(text)


def test_what_is_no_text():
    with pytest.raises(UserError, match=r"boxes\.csv is no CSV file"):
        files = {f"{ROOT}/boxes.csv": b"image,patient\n\xff\xfe,\x00\n"}
        read_image_table(dataset(), list(files), files.__getitem__)


def test_a_dataset_without_a_table():
    with pytest.raises(ValueError, match="iqoth"):
        read_image_table(DATASETS["iqoth"], [], dict.__getitem__)


# ----- A table beside the dataset's file -----


@pytest.fixture
def beside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets").mkdir()
    file = tmp_path / "datasets" / "boxes.csv"
    file.write_text(TEXT)
    return file, dataset(sha256=hashlib.sha256(TEXT.encode()).hexdigest())


def test_a_table_beside_the_file_goes_by_its_hash(beside):
    file, of = beside
    found = read("not,this\n", of=of)
    pd.testing.assert_frame_equal(found, read())
    file.write_text(TEXT + "\n")
    with pytest.raises(UserError, match=r"datasets/lidc_slices\.yaml: table\.sha256: expected") as caught:
        read(of=of)
    assert hashlib.sha256(file.read_bytes()).hexdigest() in caught.value.problem


def test_a_table_beside_the_file_that_is_missing(beside):
    file, of = beside
    file.unlink()
    with pytest.raises(UserError, match=r"datasets/boxes\.csv is missing"):
        read(of=of)
