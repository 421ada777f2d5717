"""The import of a dataset: the same from zip and folder, or a clear error and nothing written."""

import dataclasses
import hashlib
import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from known import DATASETS
from lung_attention.data.manifest import COLUMNS, import_archive, patient_of
from lung_attention.data.provenance import PROVENANCE
from lung_attention.errors import UserError
from lung_attention.files import read_table

IQOTH = DATASETS["iqoth"]
SMALL = dataclasses.replace(IQOTH, counts=(12, 12, 12))


def encoded(seed, kind="JPEG", size=(9, 7)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


FILES = {
    f"{folder}/{folder} ({number}).jpg": encoded(100 * place + number)
    for place, (folder,) in enumerate(SMALL.folders)
    for number in range(1, 13)
}
FIRST = next(iter(FILES))


@pytest.fixture
def attempt(tmp_path):
    """Imports files as a zip or folder; after a failure what was there before must be there, nothing else."""
    out = tmp_path / "out"
    targets = {"archive": out / "a.zip", "manifest": out / "m.csv"}

    def run(files, *, folder=False, prefix=f"{SMALL.root}/", dataset=SMALL, check_counts=True):
        source = tmp_path / ("folder" if folder else "source.zip")
        if folder:
            for name, content in files.items():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_bytes(content)
        else:
            with zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content in reversed(files.items()):
                    archive.writestr(prefix + name, content)
        return import_archive(source, dataset, **targets, check_counts=check_counts)

    def refused(files, **options):
        out.mkdir()
        for path in targets.values():
            path.write_text("old")
        with pytest.raises(UserError) as caught:
            run(files, **options)
        assert {path.name: path.read_text() for path in out.iterdir()} == {"a.zip": "old", "m.csv": "old"}
        return caught.value.problem

    run.refused = refused
    run.targets = targets
    return run


def test_zip_and_folder_give_the_same_manifest_and_the_same_bytes(attempt):
    first = attempt(FILES, prefix=f"{SMALL.root}/{SMALL.root}/")
    written = attempt.targets["archive"].read_bytes()
    second = attempt(FILES, folder=True)
    assert first.to_dict() == second.to_dict()
    assert attempt.targets["archive"].read_bytes() == written


def test_a_row_says_what_the_image_is(attempt):
    table = attempt(FILES)
    assert list(table.columns) == list(COLUMNS)
    assert table["image"].tolist() == list(FILES)  # classes in label order, 2 before 10
    assert table["label"].tolist() == ["normal"] * 12 + ["malignant"] * 12 + ["benign"] * 12
    for row in table.itertuples():
        assert row.sha256 == hashlib.sha256(FILES[row.image]).hexdigest()
        assert (row.bytes, row.width, row.height, row.group) == (len(FILES[row.image]), 9, 7, "")
    assert read_table(attempt.targets["manifest"]).to_dict("list") == table.to_dict("list")


def test_the_archive_holds_the_original_bytes_uncompressed(attempt):
    attempt(FILES)
    with zipfile.ZipFile(attempt.targets["archive"]) as archive:
        assert archive.namelist() == list(FILES)
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {name: archive.read(name) for name in archive.namelist()} == FILES


def test_upper_case_endings(attempt):
    files = {name.replace("(2).jpg", "(2).JPG"): content for name, content in FILES.items()}
    assert attempt(files)["image"].tolist() == list(files)


def test_a_missing_class_folder(attempt):
    left = {name: content for name, content in FILES.items() if not name.startswith("Bengin")}
    problem = attempt.refused(left)
    assert "source.zip" in problem
    assert "'Bengin cases'" in problem


def test_a_wrong_count(attempt):
    problem = attempt.refused(dict(list(FILES.items())[1:]))
    assert "'normal': 11" in problem
    assert "'normal': 12" in problem


def test_counts_are_not_checked_where_that_is_off(attempt):
    assert len(attempt(dict(list(FILES.items())[1:]), check_counts=False)) == 35


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        FILES[FIRST][:-20],
        encoded(0, "PNG", (64, 64))[:-40],
        encoded(0, "GIF"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 7\nshowpage\n",
    ],
    ids=["empty", "text", "cut JPEG", "cut PNG", "another format", "a program"],
)
def test_an_unreadable_image_is_named(attempt, content):
    problem = attempt.refused({**FILES, FIRST: content})
    assert "source.zip" in problem
    assert FIRST in problem


def test_more_than_8_bits_are_refused_since_they_would_be_cut_off(attempt):
    stream = io.BytesIO()
    Image.fromarray(np.full((7, 9), 30_000, np.uint16)).save(stream, "PNG")
    problem = attempt.refused({**FILES, FIRST: stream.getvalue()})
    assert FIRST in problem
    assert "8 bits" in problem


def test_a_decompression_bomb_is_refused(attempt, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9 * 7)
    assert FIRST in attempt.refused({**FILES, FIRST: encoded(0, size=(10, 7))})


def test_an_image_of_more_pixels_than_any_release_has_is_refused_before_it_is_decoded(attempt, monkeypatch):
    stream = io.BytesIO()
    Image.new("L", (4097, 4096)).save(stream, "PNG")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("decoded"))
    problem = attempt.refused({**FILES, FIRST: stream.getvalue()})
    assert "4097 x 4096 pixels, more than 16,777,216" in problem
    assert FIRST in problem


def test_a_truncated_zip(attempt, tmp_path):
    attempt(FILES)
    source = tmp_path / "source.zip"
    source.write_bytes(source.read_bytes()[:-500])
    before = {path: path.read_bytes() for path in attempt.targets.values()}
    with pytest.raises(UserError, match=r"source\.zip"):
        import_archive(source, SMALL, **attempt.targets, check_counts=True)
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


@pytest.mark.parametrize("folder", [False, True])
def test_unsafe_sources_write_nothing(attempt, folder, tmp_path):
    bad = "a\nb.jpg" if folder else "../../evil.jpg"
    attempt.refused({**FILES, bad: FILES[FIRST]}, folder=folder)
    assert not (tmp_path / "evil.jpg").exists()


@pytest.mark.parametrize(
    ("dataset", "image", "label", "patient"),
    [
        ("lidc", "train/malignant/174-001 (12).dcm.png", "malignant", "LIDC-IDRI-0174"),
        ("lidc", "valid/benign/100-001 (231).dcm.png", "benign", "LIDC-IDRI-0100"),
        ("lidc", "train/malignant/1-236.dcm.png", "malignant", "LIDC-IDRI-0001"),
        ("lidc", "train/benign/1-236.dcm.png", "benign", "LIDC-IDRI-0100"),
        ("lidc", "test/benign/28-001 (3).dcm.PNG", "benign", "LIDC-IDRI-0028"),
        ("lidc_nodules", "benign/LIDC-IDRI-0004_nodule-0_slice-2.png", "benign", "LIDC-IDRI-0004"),
        ("iqoth", "Bengin cases/Bengin case (1).jpg", "benign", ""),
        ("lc25000", "lung_aca/lungaca1.jpeg", "adenocarcinoma", ""),
    ],
)
def test_patients_are_read_from_names(dataset, image, label, patient):
    assert patient_of(dataset, image, label) == patient


@pytest.mark.parametrize(
    ("dataset", "image"),
    [
        ("lidc", "train/benign/slice 5.png"),
        ("lidc_nodules", "benign/0004_nodule-0.png"),
        ("lidc", "a/2-17.dcm.png"),
    ],
)
def test_a_name_without_its_patient_is_refused(dataset, image):
    with pytest.raises(UserError, match="does not tell its patient") as caught:
        patient_of(dataset, image, "benign")
    assert image in caught.value.problem


def test_every_dataset_has_its_provenance():
    assert set(PROVENANCE) == set(DATASETS)
    assert all(entry.licence and "http" in entry.citation for entry in PROVENANCE.values())


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.id)
def test_the_catalog_is_consistent(dataset):
    assert DATASETS[dataset.id] is dataset
    assert len(dataset.classes) == len(dataset.folders) == len(dataset.counts) == len(set(dataset.classes))
    folders = [folder for group in dataset.folders for folder in group]
    assert len(set(folders)) == len(folders)
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in dataset.suffixes)
