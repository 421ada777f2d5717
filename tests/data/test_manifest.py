"""The import of a dataset: the same from zip and folder, or a clear error and nothing written."""

import hashlib
import io
import zipfile

import numpy as np
import pytest
from known import DATASETS
from PIL import Image

from lung_attention.config.datasets import ImageTable, PatientRule
from lung_attention.data.manifest import COLUMNS, import_archive, patient_of
from lung_attention.errors import UserError
from lung_attention.files import read_table

IQOTH = DATASETS["iqoth"]
SMALL = IQOTH.model_copy(
    update={"archive": IQOTH.archive.model_copy(update={"counts": dict.fromkeys(IQOTH.labels, 12)})}
)


def encoded(seed, kind="JPEG", size=(9, 7)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


FILES = {
    f"{folder}/{folder} ({number}).jpg": encoded(100 * place + number)
    for place, (folder,) in enumerate(SMALL.classes.values())
    for number in range(1, 13)
}
FIRST = next(iter(FILES))


@pytest.fixture
def attempt(tmp_path):
    """Imports files as a zip or folder; after a failure what was there before must be there, nothing else."""
    out = tmp_path / "out"
    targets = {"archive": out / "a.zip", "manifest": out / "m.csv"}

    def run(files, *, folder=False, prefix=f"{SMALL.archive.root}/", dataset=SMALL, check_counts=True):
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
    first = attempt(FILES, prefix=f"{SMALL.archive.root}/{SMALL.archive.root}/")
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


@pytest.mark.parametrize("folder", [False, True])
def test_all_unreadable_images_are_named_with_what_they_are(attempt, folder):
    stream = io.BytesIO()
    Image.fromarray(np.full((7, 9), 30_000, np.uint16)).save(stream, "PNG")
    *_, second, last = FILES
    bad = {FIRST: FILES[FIRST][:-20], second: stream.getvalue(), last: b"no image"}
    problem = attempt.refused(FILES | bad, folder=folder)
    assert "3 of 36 images cannot be read rightly" in problem
    lines = problem.splitlines()[1:]
    for name, said, line in zip(bad, ("damaged", "16 bits", "no JPEG"), lines, strict=True):
        assert name in line
        assert said in line


def test_a_damaged_member_is_named_beside_what_is_no_image(tmp_path):
    source = tmp_path / "source.zip"
    with zipfile.ZipFile(source, "w") as archive:
        for name, content in {**FILES, FIRST: b"no image"}.items():
            archive.writestr(f"{SMALL.archive.root}/{name}", content)
    (*_, last) = FILES
    content = FILES[last]
    source.write_bytes(source.read_bytes().replace(content, content[:-1] + b"?"))
    with pytest.raises(UserError) as caught:
        import_archive(
            source, SMALL, archive=tmp_path / "a.zip", manifest=tmp_path / "m.csv", check_counts=True
        )
    first, second = caught.value.problem.splitlines()[1:]
    assert f"{FIRST}': it is no JPEG" in first
    assert f"{last}': it is damaged (Bad CRC" in second
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.parametrize(
    ("pixels", "options", "said"),
    [
        (np.full((7, 9), 30_000, np.uint16), {}, "16 bits a channel, expected 8"),
        (np.full((7, 9, 4), 100, np.uint8), {}, "transparent"),
        (np.zeros((7, 9), np.uint8), {"save_all": True, "append_images": [Image.new("L", (9, 7), 9)]},
         "2 frames"),
    ],
    ids=["16 bits", "transparent", "animated"],
)  # fmt: skip
def test_an_image_that_no_stage_could_read_rightly_is_refused(attempt, pixels, options, said):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", **options)
    problem = attempt.refused({**FILES, FIRST: stream.getvalue()})
    assert FIRST in problem
    assert said in problem


def test_the_manifest_has_the_size_of_the_upright_image(attempt):
    stream, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6  # the camera was turned by a quarter
    Image.new("L", (9, 7)).save(stream, "JPEG", exif=exif)
    table = attempt({**FILES, FIRST: stream.getvalue()}).set_index("image")
    assert sorted(map(tuple, table[["width", "height"]].drop_duplicates().to_numpy())) == [(7, 9), (9, 7)]


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
    ("dataset", "image", "patient"),
    [
        ("lidc", "train/malignant/174-001 (12).dcm.png", "LIDC-IDRI-0174"),
        ("lidc", "valid/benign/100-001 (231).dcm.png", "LIDC-IDRI-0100"),
        ("lidc", "train/malignant/1-236.dcm.png", "LIDC-IDRI-0001"),
        ("lidc", "train/benign/1-236.dcm.png", "LIDC-IDRI-0100"),
        ("lidc", "test/malignant/174-001 (12).dcm.png", "LIDC-IDRI-0174"),
        ("lidc", "train/malignant/1-7.dcm.png", "LIDC-IDRI-0001"),
        ("lidc", "valid/benign/1-7.dcm.png", "LIDC-IDRI-0100"),
        ("lidc", "train/benign/1012-003 (7).dcm.png", "LIDC-IDRI-1012"),
        ("lidc", "test/benign/28-001 (3).dcm.PNG", "LIDC-IDRI-0028"),
        ("lidc_nodules", "benign/LIDC-IDRI-0004_nodule-0_slice-2.png", "LIDC-IDRI-0004"),
        ("lidc_nodules", "malignant/LIDC-IDRI-1010_nodule-12_slice-0.png", "LIDC-IDRI-1010"),
        ("iqoth", "Bengin cases/Bengin case (1).jpg", ""),
        ("lc25000", "lung_aca/lungaca1.jpeg", ""),
    ],
)
def test_patients_are_read_from_names(dataset, image, patient):
    assert patient_of(DATASETS[dataset], image) == patient


@pytest.mark.parametrize(
    ("dataset", "image"),
    [
        ("lidc", "train/benign/slice 5.png"),
        ("lidc_nodules", "benign/0004_nodule-0.png"),
        ("lidc", "a/2-17.dcm.png"),
        ("lidc", "train/malignant/174-001 (12).dcm.png.bak"),
        ("lidc", "train/malignant/1-7.dcm"),
        ("lidc_nodules", "LIDC-IDRI-0004_nodule-0_slice-2.png"),
        ("lidc_nodules", "benign/LIDC-IDRI-004_nodule-0_slice-2.png"),
    ],
)
def test_a_name_without_its_patient_is_refused(dataset, image):
    with pytest.raises(UserError, match="does not tell its patient") as caught:
        patient_of(DATASETS[dataset], image)
    assert repr(image) in caught.value.problem
    assert f"datasets/{dataset}.yaml" in caught.value.remedy


def test_the_first_rule_that_matches_decides_and_groups_may_be_named():
    rules = [
        PatientRule(match=r"a/(?P<who>\d+)_(?P<what>\w*).png", patient="{who}-{what}"),
        PatientRule(match=r".*/(\d+)_(x)?.*", patient="P{0}{1}"),
    ]
    dataset = IQOTH.model_copy(update={"patients": rules})
    assert patient_of(dataset, "a/7_x.png") == "7-x"
    assert patient_of(dataset, "b/7_x.png") == "P7x"
    assert patient_of(dataset, "b/7_y.png") == "P7"  # a group that takes no part is empty


def test_an_image_that_no_rule_matches_stops_the_import(attempt):
    dataset = SMALL.model_copy(update={"patients": DATASETS["lidc"].patients})
    assert repr(FIRST) in attempt.refused(FILES, dataset=dataset)


def test_rules_fill_the_group(attempt):
    rules = [PatientRule(match=r".*\((\d+)\)\.jpg", patient="P{0:0>3}")]
    table = attempt(FILES, dataset=SMALL.model_copy(update={"patients": rules}))
    assert table["group"].tolist() == [f"P{number:03}" for number in range(1, 13)] * 3


def with_table(patients):
    values = {"file": "boxes.csv", "image": "image", "patient": "patient", "sha256": None, "covariates": []}
    return SMALL.model_copy(update={"patients": patients, "table": ImageTable(**values)})


def test_a_table_in_the_archive_fills_the_group_and_more_columns(attempt):
    lines = [f"{name},P{place // 2},{place}" for place, name in enumerate(FILES)]
    files = {**FILES, "boxes.csv": "\n".join(["image,patient,x", *lines]).encode()}
    table = attempt(files, dataset=with_table([]))
    assert list(table.columns) == [*COLUMNS, "x"]
    assert table["group"].tolist() == [f"P{place // 2}" for place in range(36)]
    assert table["x"].tolist() == list(range(36))
    with zipfile.ZipFile(attempt.targets["archive"]) as archive:
        assert archive.namelist() == list(FILES)  # of just the images


def test_a_table_that_lacks_an_image_writes_nothing(attempt):
    lines = [f"{name},P1,0" for name in list(FILES)[1:]]
    files = {**FILES, "boxes.csv": "\n".join(["image,patient,x", *lines]).encode()}
    assert repr(FIRST) in attempt.refused(files, dataset=with_table([]))


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.id)
def test_the_catalog_is_consistent(dataset):
    assert DATASETS[dataset.id] is dataset
    folders = [folder for group in dataset.classes.values() for folder in group]
    assert len(set(folders)) == len(folders)
    assert "http" in dataset.citation
    told = bool(dataset.patients) or dataset.table is not None
    assert (dataset.unit == "patient") == told
