"""The first file of a dataset: valid, and finding every image; or a message that says what is wrong."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lung_attention.config import parse_value
from lung_attention.config.datasets import Dataset
from lung_attention.data.archive import open_archive
from lung_attention.data.describe import describe_dataset
from lung_attention.data.manifest import import_archive, patient_of
from lung_attention.data.members import find_members, require_counts
from lung_attention.errors import UserError
from lung_attention.splits.published import published_split


def encoded(seed, kind="PNG"):
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (7, 9), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """An empty project with a folder for its datasets."""
    monkeypatch.chdir(tmp_path)
    Path("datasets").mkdir()
    return tmp_path


def put(names, *, folder="images", top=""):
    for number, name in enumerate(names):
        path = Path(folder, top, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(number))
    return Path(folder)


def zipped(names, *, top=""):
    path = Path("images.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(f"{top}{name}", encoded(number))
    return path


def dataset_of(file):
    """Reads a dataset's file as the configuration does."""
    return Dataset.model_validate_json(json.dumps({"id": file.stem, **parse_value(file.read_bytes())}))


def describe(source, *, name="mine", patients=None, groups=None):
    """Writes the file; what is written must be a dataset that finds every image of its source."""
    file = describe_dataset(name, source, patients=patients, groups=groups)
    assert file == Path(f"datasets/{name}.yaml")
    dataset = dataset_of(file)
    with open_archive(source) as (names, _):
        members = find_members(names, dataset, path=source)
        images = [one for one in names if one.lower().endswith((".png", ".jpg", ".jpeg", ".tif", ".bmp"))]
        assert sorted(member.source for member in members) == sorted(images)
        require_counts(members, dataset, path=source)
    return dataset, [member.image for member in members]


def refusal(source, **options):
    before = sorted(Path("datasets").iterdir())
    with pytest.raises(UserError) as caught:
        describe(source, **options)
    assert sorted(Path("datasets").iterdir()) == before
    return caught.value.problem


FLAT = [f"{label}/P{n // 2}_{n}.png" for label in ("Benign cases", "malignant") for n in range(4)]
PARTS = [
    f"{part}/{label}/{n}.png" for part in ("train", "valid", "test") for label in "ab" for n in range(1, 4)
]


@pytest.mark.parametrize("make", [put, zipped])
@pytest.mark.parametrize("top", ["", "release/"])
def test_class_folders(make, top):
    dataset, images = describe(make(FLAT, top=top))
    assert dataset.classes == {"benign_cases": ["Benign cases"], "malignant": ["malignant"]}
    assert images == FLAT
    assert dataset.archive.root == top.rstrip("/")
    assert dataset.archive.counts == {"benign_cases": 4, "malignant": 4}
    assert dataset.archive.suffixes == [".png"]
    assert dataset.published_split.method == "random"
    assert dataset.groups.method == "near_duplicates"
    assert dataset.floors.grouped == pytest.approx(0.51)
    assert dataset.title == "mine"


@pytest.mark.parametrize("make", [put, zipped])
@pytest.mark.parametrize("top", ["", "release/", "release/images/"])
def test_class_folders_in_the_parts_of_a_split(make, top):
    dataset, images = describe(make(PARTS, top=top))
    assert dataset.classes == {
        label: [f"{part}/{label}" for part in ("test", "train", "valid")] for label in "ab"
    }
    assert sorted(images) == sorted(PARTS)
    split = dataset.published_split
    assert (split.method, split.train, split.validation, split.test) == ("folders", "train", "valid", "test")
    assert dataset.archive.root == top.rstrip("/")


def test_a_split_without_a_validation_part():
    names = [name.replace("train", "Training") for name in PARTS if not name.startswith("valid")]
    dataset, _ = describe(put(names))
    split = dataset.published_split
    assert (split.train, split.validation, split.test) == ("Training", None, "test")


def test_without_a_test_part_the_validation_part_is_the_test_part():
    dataset, _ = describe(put([name for name in PARTS if not name.startswith("test")]))
    split = dataset.published_split
    assert (split.train, split.validation, split.test) == ("train", None, "valid")
    assert list(dataset.classes) == ["a", "b"]


@pytest.mark.parametrize("kept", [("test", "valid"), ("test", "train", "more")])
def test_folders_of_which_not_all_are_parts_with_a_training_part_are_no_split(kept):
    names = [name for part in kept for name in (f"{part}/a/1.png", f"{part}/b/1.png")]
    dataset, _ = describe(put(names))
    assert dataset.published_split.method == "random"
    assert sorted(dataset.classes) == sorted(f"{part}_{label}" for part in kept for label in "ab")


def test_the_parts_are_those_of_the_published_split():
    source = put(PARTS)
    dataset, _ = describe(source)
    manifest = import_archive(
        source, dataset, archive=Path("a.zip"), manifest=Path("m.csv"), check_counts=True
    )
    subsets = published_split(manifest, dataset.published_split, seed=0).set_index("image")["subset"]
    expected = {"train": "train", "valid": "validation", "test": "test"}
    assert subsets.to_dict() == {name: expected[name.split("/")[0]] for name in PARTS}


def test_folders_that_are_no_parts_are_classes():
    names = [f"site {k}/{label}/{n}.png" for k in (1, 2) for label in "ab" for n in range(2)]
    dataset, _ = describe(put(names))
    assert list(dataset.classes) == ["site_1_a", "site_1_b", "site_2_a", "site_2_b"]
    assert dataset.published_split.method == "random"


def test_classes_are_in_natural_order_and_endings_are_those_that_occur():
    names = [f"grade {n}/a.{ending}" for n in (10, 2, 1) for ending in ("JPG", "png")]
    dataset, _ = describe(put(names))
    assert list(dataset.classes) == ["grade_1", "grade_2", "grade_10"]
    assert dataset.archive.suffixes == [".jpg", ".png"]
    assert dataset.floors.published == pytest.approx(0.34)


def test_names_that_yaml_would_misread_are_quoted():
    names = [f"{label}/{n}.png" for label in ("no", "1e3", 'it: "is" #1') for n in range(2)]
    dataset, _ = describe(put(names))
    assert sorted(dataset.classes.items()) == [
        ("1e3", ["1e3"]), ("it_is_1", ['it: "is" #1']), ("no", ["no"]),
    ]  # fmt: skip


def test_what_is_no_image_is_left_out():
    source = put(FLAT)
    Path("images", "readme.txt").write_text("hello")
    Path("images", "malignant", "Thumbs.db").write_bytes(b"1")
    assert describe(source)[1] == FLAT


def test_images_of_a_kind_that_is_not_read_are_named_and_those_of_all_others_taken():
    source = put(FLAT)
    for kind, name in (("TIFF", "t.tif"), ("BMP", "b.BMP")):
        (source / "malignant" / name).write_bytes(encoded(99, kind))
    dataset, images = describe(source, name="taken")
    assert dataset.archive.suffixes == [".bmp", ".png", ".tif"]
    assert len(images) == len(FLAT) + 2
    (source / "malignant" / "g.gif").write_bytes(encoded(98, "GIF"))
    problem = refusal(source)
    assert "1 of 11 images cannot be read rightly" in problem
    assert "malignant/g.gif" in problem


def test_a_zip_file_with_what_macos_adds():
    source = zipped(FLAT)
    with zipfile.ZipFile(source, "a") as archive:
        for name in FLAT:
            archive.writestr(f"__MACOSX/{name.replace('/', '/._')}", b"1")
    file = describe_dataset("mine", source, patients=None, groups=None)
    dataset = dataset_of(file)
    with open_archive(source) as (names, _):
        assert [member.image for member in find_members(names, dataset, path=source)] == FLAT


# ----- Patients -----


@pytest.mark.parametrize(
    "pattern", [r"(P\d+)_", r"/(P\d+)", r"^.*/(P\d+)_\d+\.png$", r"(?P<who>P\d)", "(P0|P1)", r"(?i)(p\d)_"]
)
def test_patients_by_an_expression(pattern):
    dataset, images = describe(put(FLAT), patients=pattern)
    assert [patient_of(dataset, image) for image in images] == ["P0", "P0", "P1", "P1"] * 2
    assert dataset.groups.method == "patients"
    assert dataset.unit == "patient"


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(Q\d+)_", "finds no patient in 8 of 8 paths, such as 'Benign cases/P0_0.png'"),
        (r"(P0)_", "finds no patient in 4 of 8 paths, such as 'Benign cases/P1_2.png'"),
        (r"(P0)_|P1_", "finds no patient in 4 of 8 paths, such as 'Benign cases/P1_2.png'"),
        (r"(x?)P\d_", "finds no patient in 8 of 8 paths"),
        (r"P\d+_", "expected a group in parentheses"),
        (r"(P\d+_", "no regular expression"),
    ],
)
def test_an_expression_that_does_not_tell_every_patient(pattern, says):
    problem = refusal(put(FLAT), patients=pattern)
    assert says in problem
    assert repr(pattern) in problem


@pytest.mark.parametrize("columns", ["image,patient", "path,group", "file,patient"])
def test_groups_from_a_table(columns):
    lines = [columns, *(f"{name},P{n}" for n, name in enumerate(FLAT))]
    Path("who.csv").write_text("\n".join(lines) + "\n")
    source = put(FLAT, top="release")
    dataset, images = describe(source, groups=Path("who.csv"))
    copy = Path("datasets/mine.csv")
    assert copy.read_text() == Path("who.csv").read_text()
    assert dataset.table.file == "mine.csv"
    assert [dataset.table.image, dataset.table.patient] == columns.split(",")
    assert dataset.table.sha256 == hashlib.sha256(copy.read_bytes()).hexdigest()
    assert dataset.groups.method == "patients"
    manifest = import_archive(
        source, dataset, archive=Path("a.zip"), manifest=Path("m.csv"), check_counts=True
    )
    assert manifest["group"].tolist() == [f"P{n}" for n in range(8)]
    assert manifest["image"].tolist() == images


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,who\na,b\n", "expected the columns image and patient; found image, who"),
        (
            "image,patient\nmalignant/P0_0.png,P0\n",
            "no row for 7 of 8 images, such as 'Benign cases/P0_0.png'",
        ),
        ("", "no CSV file"),
        (None, "no CSV file"),
    ],
)
def test_a_table_that_does_not_tell_every_group(text, says):
    if text is not None:
        Path("who.csv").write_text(text)
    problem = refusal(put(FLAT), groups=Path("who.csv"))
    assert says in problem
    assert "who.csv" in problem


# ----- What is refused -----


@pytest.mark.parametrize("zip_it", [False, True])
def test_images_that_the_import_would_refuse_are_all_named(zip_it):
    source = put(FLAT)
    stream = io.BytesIO()
    Image.fromarray(np.full((7, 9), 30_000, np.uint16)).save(stream, "PNG")
    (source / FLAT[0]).write_bytes(stream.getvalue())
    (source / FLAT[5]).write_bytes(encoded(5)[:-30])
    if zip_it:
        with zipfile.ZipFile("images.zip", "w") as archive:
            for name in FLAT:
                archive.write(source / name, name)
        source = Path("images.zip")
    problem = refusal(source)
    assert "2 of 8 images cannot be read rightly" in problem
    first, second = problem.splitlines()[1:]
    assert f"{FLAT[0]!r}: it has 16 bits a channel" in first
    assert f"{FLAT[5]!r}: it is damaged" in second


@pytest.mark.parametrize("top", ["", "release"])
def test_an_empty_class_folder(top):
    source = put(FLAT, top=top)
    Path(source, top, "normal").mkdir()
    Path(source, top, "normal", "notes.txt").write_text("none yet")
    problem = refusal(source)
    assert str(Path(source, top, "normal")) in problem
    assert "found none" in problem


def test_an_empty_class_folder_in_a_part():
    source = put(PARTS)
    Path(source, "train", "c").mkdir()
    assert str(Path(source, "train", "c")) in refusal(source)


@pytest.mark.parametrize("names", [[], ["malignant/1.png"], ["1.png", "2.png"]])
def test_fewer_than_two_classes(names):
    Path("images").mkdir()
    assert "in two class folders or more" in refusal(put(names))


def test_images_beside_their_class_folders():
    assert "beside its class folders" in refusal(put([*FLAT, "stray.png"]))


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a b/1.png", "a-b/1.png", "c/1.png"], "name 'a_b', which is taken"),
        (["train/a b/1.png", "train/a-b/1.png", "test/a-b/1.png"], "name 'a_b', which is taken"),
        (["+/1.png", "-/1.png"], "name '', which is none"),
    ],
)
def test_class_folders_without_names_of_their_own(names, says):
    assert says in refusal(put(names))


def test_a_class_may_be_spelled_otherwise_in_another_part():
    dataset, _ = describe(put(["train/A/1.png", "train/b/1.png", "test/a/2.png", "test/b/2.png"]))
    assert dataset.classes == {"a": ["test/a", "train/A"], "b": ["test/b", "train/b"]}


@pytest.mark.parametrize("groups", [False, True])
def test_class_folders_that_lie_in_each_other(groups):
    """An image must not get into two classes."""
    names = ["a/1.png", "b/1.png", "b/a/2.png"]
    Path("who.csv").write_text("\n".join(["image,patient", *(f"{name},P" for name in names)]))
    problem = refusal(put(names), groups=Path("who.csv") if groups else None)
    assert "'b/a/2.png' would be in two" in problem


def test_a_file_that_exists_is_left_alone():
    source = put(FLAT)
    Path("datasets/mine.yaml").write_text("mine")
    assert "datasets/mine.yaml exists already" in refusal(source)
    assert Path("datasets/mine.yaml").read_text() == "mine"


@pytest.mark.parametrize("name", ["My data", "my-data", "", "../mine", "ü", "mine\n"])
def test_a_name_that_is_none(name):
    assert repr(name) in refusal(put(FLAT), name=name)


def test_a_source_that_is_not_there():
    assert "no such archive" in refusal(Path("nowhere.zip"))
