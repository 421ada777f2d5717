"""The embedded synthetic sample: regenerated, laid out like the public archives, with its traps planted."""

import hashlib
import io
import re
import time
import zipfile
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from known import DATASETS
from PIL import Image

from lung_attention.data.manifest import import_archive, patient_of
from lung_attention.data.members import find_members
from lung_attention.data.sample.archives import PLANTED, make_sample, true_groups
from lung_attention.data.sample.calibration import calibration_images
from lung_attention.splits.published import published_split

SEED = 20260101
EMBEDDED = Path(__file__).parents[2] / "sample"
NAMES = {
    "iqoth": r"(Normal|Malignant|Bengin) cases/(Normal|Malignant|Bengin) case \(\d+\)\.jpg",
    "lc25000": r"lung_(aca|n|scc)/lung(aca|n|scc)\d+\.jpeg",
    "lidc": r"(train|valid|test)/(malignant|benign)/(1-\d+|\d+-001 \(\d+\))\.dcm\.png",
    "lidc_nodules": r"(malignant|benign)/LIDC-IDRI-\d{4}_nodule-\d_slice-\d\.png",
}
# SHA-256 over the sorted names and decoded pixels of each embedded archive.
CONTENT = {
    "iqoth": "2238a08b6f821ede3188928eeaa0eca5eda74442a9fad0389913ffa6971a913c",
    "lc25000": "8be5b19ff191adb591e430dbe2c019e24890f4af160c08227779a3a2867c010c",
    "lidc": "3a63d99fd585472b46f3741ed28ba746b9330df7aa19785142e97f40ab9bd853",
    "lidc_nodules": "1f545a21a0fbc2c7912fb6f3ccd26afeee66d5d0e71de8b0bb53a606a29461ba",
}
BOTH = pytest.mark.parametrize("dataset_id", sorted(PLANTED))


@cache
def truth_of(dataset_id):
    return true_groups(DATASETS[dataset_id], SEED)


def members(archive):
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def content_hash(archive):
    digest = hashlib.sha256()
    for name, content in sorted(members(archive).items()):
        decoded = pixels(content)
        digest.update(f"{name} {decoded.shape} {decoded.dtype}\n".encode())
        digest.update(decoded.tobytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    started = time.process_time()
    digests = make_sample(folder, DATASETS, seed=SEED)
    return folder, digests, time.process_time() - started


@pytest.fixture(scope="module", params=sorted(PLANTED))
def embedded(request):
    """An archive's images by path below its root, in the members' order, with class and planted facts."""
    dataset = DATASETS[request.param]
    path = EMBEDDED / f"{dataset.id}.zip"
    contents = members(path)
    found = find_members(list(contents), dataset, path=path)
    assert {member.source for member in found} == set(contents)
    assert all(member.source == f"{dataset.archive.root}/{member.image}" for member in found)
    images = {member.image: contents[member.source] for member in found}
    labels = {member.image: member.label for member in found}
    return dataset, images, labels, PLANTED[dataset.id]


@BOTH
def test_regenerated_pixels_are_the_embedded_ones(drawn, dataset_id):
    folder, digests, _ = drawn
    name = f"{dataset_id}.zip"
    assert digests[name] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert content_hash(EMBEDDED / name) == CONTENT[dataset_id]
    assert content_hash(folder / name) == CONTENT[dataset_id]


def test_archives_alone_are_embedded_and_they_are_small():
    files = list(EMBEDDED.iterdir())
    assert {file.name for file in files} == {f"{name}.zip" for name in PLANTED}
    assert sum(file.stat().st_size for file in files) <= 8_000_000


def test_drawing_is_quick(drawn):
    assert drawn[2] < 20


def test_another_seed_draws_other_images(tmp_path, drawn):
    folder, digests, _ = drawn
    others = make_sample(tmp_path, DATASETS, seed=SEED + 1)
    assert set(others) == set(digests)
    for name in digests:
        ours = {hashlib.sha256(content).digest() for content in members(folder / name).values()}
        theirs = {hashlib.sha256(content).digest() for content in members(tmp_path / name).values()}
        assert not ours & theirs


def test_members_are_in_order_and_undated(embedded):
    dataset = embedded[0]
    with zipfile.ZipFile(EMBEDDED / f"{dataset.id}.zip") as archive:
        infos = archive.infolist()
    assert [info.filename for info in infos] == sorted(info.filename for info in infos)
    assert {info.date_time for info in infos} == {(2020, 1, 1, 0, 0, 0)}


def test_layout_is_that_of_the_public_archive(embedded):
    dataset, images, labels, planted = embedded
    assert all(re.fullmatch(NAMES[dataset.id], image) for image in images)
    assert tuple(Counter(labels.values())[label] for label in dataset.classes) == planted.images
    decoded = {image: pixels(content) for image, content in images.items()}
    colour = 3 if dataset.id == "lc25000" else 2
    assert {array.ndim for array in decoded.values()} == {colour}
    # A flat picture would show nothing.
    assert min(array.std() for array in decoded.values()) > 10


def test_duplicates_are_planted(embedded):
    dataset, images, labels, planted = embedded
    same = defaultdict(list)
    for image, content in images.items():
        same[content].append(image)
    sets = [group for group in same.values() if len(group) > 1]
    assert sum(len(group) - 1 for group in sets) == planted.redundant_files
    across = [group for group in sets if len({labels[image] for image in group}) > 1]
    assert sum(len(group) - 1 for group in across) == planted.redundant_across_classes
    truth = truth_of(dataset.id)
    assert all(len({truth[image] for image in group}) == 1 for group in sets)


@pytest.mark.parametrize("dataset_id", ["iqoth", "lc25000"])
def test_the_published_split_puts_some_duplicates_on_both_sides(tmp_path, dataset_id):
    manifest = import_archive(
        EMBEDDED / f"{dataset_id}.zip",
        DATASETS[dataset_id],
        archive=tmp_path / "archive.zip",
        manifest=tmp_path / "manifest.csv",
        check_counts=False,
    )
    subsets = published_split(manifest, DATASETS[dataset_id].published_split, seed=0)["subset"]
    assert (subsets.groupby(manifest["sha256"]).nunique() > 1).sum() >= 3


def test_sizes_give_the_class_away_where_planted(embedded):
    _, images, labels, planted = embedded
    sizes = {image: pixels(content).shape[:2] for image, content in images.items()}
    usual, _ = Counter(sizes.values()).most_common(1)[0]
    odd = [image for image, size in sizes.items() if size != usual]
    assert len(odd) == planted.odd_sized
    assert {labels[image] for image in odd} == ({"malignant"} if odd else set())


def test_groups_are_as_planted_and_can_be_split(embedded):
    dataset, images, labels, planted = embedded
    truth = truth_of(dataset.id)
    assert set(truth) == set(images)
    labels_of = defaultdict(set)
    for image, group in truth.items():
        labels_of[group].add(labels[image])
        assert patient_of(dataset, image) in ("", group)
    assert len(labels_of) == planted.groups
    assert sum(len(found) > 1 for found in labels_of.values()) == planted.groups_with_two_labels
    for label in dataset.classes:
        assert sum(label in found for found in labels_of.values()) >= 4


def test_slices_of_a_case_bear_consecutive_numbers_and_nearly_repeat():
    truth = truth_of("iqoth")
    images = {name.split("/", 1)[1]: content for name, content in members(EMBEDDED / "iqoth.zip").items()}
    vectors = {}
    for image, content in images.items():
        small = Image.open(io.BytesIO(content)).resize((64, 64), Image.Resampling.BOX)
        vector = np.asarray(small, float).ravel()
        vector -= vector.mean()
        vectors[image] = vector / np.linalg.norm(vector)
    following, elsewhere = [], []
    for image in images:
        stem, number = re.fullmatch(r"(.*\()(\d+)\)\.jpg", image).groups()
        after = f"{stem}{int(number) + 1}).jpg"
        if truth.get(after) == truth[image]:
            following.append(vectors[image] @ vectors[after])
        elsewhere += [vectors[image] @ vectors[other] for other in images if truth[other] != truth[image]]
    # 168 different slices of 25 cases; the repeated files follow at the ends of the classes.
    assert len(following) >= 168 - 25
    assert min(following) >= 0.98
    assert max(elsewhere) < 0.9


def test_lidc_patients_stand_in_all_folders_and_two_contradict_themselves():
    images = [name.split("/", 1)[1] for name in members(EMBEDDED / "lidc.zip")]
    folders, slices, contents = defaultdict(set), defaultdict(set), members(EMBEDDED / "lidc.zip")
    for image in images:
        subset, label, name = image.split("/")
        patient = patient_of(DATASETS["lidc"], image)
        folders[patient].add(subset)
        number = re.search(r"(\d+)\)?\.dcm", name).group(1)
        slices[patient, number].add((label, contents[f"LIDC_IDRI_PNG_CONV/{image}"]))
    assert set(map(frozenset, folders.values())) == {frozenset({"train", "valid", "test"})}
    pairs = {key: found for key, found in slices.items() if len({label for label, _ in found}) == 2}
    assert len(pairs) == PLANTED["lidc"].contradictory_pairs
    assert {patient for patient, _ in pairs} == {"LIDC-IDRI-0174", "LIDC-IDRI-0205"}
    assert all(len({content for _, content in found}) == 1 for found in pairs.values())
    counts = Counter(image.split("/")[0] for image in images)
    for subset, share in (("train", 0.64), ("valid", 0.16), ("test", 0.2)):
        assert counts[subset] / len(images) == pytest.approx(share, abs=0.04)


def test_calibration_images_are_seeded_and_show_nothing_of_the_sample():
    images = calibration_images(6, 48, seed=1)
    assert images.shape == (6, 48, 48, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[:4], calibration_images(4, 48, seed=1))
    assert all(image.std() > 10 for image in images)
    assert not (images == calibration_images(6, 48, seed=2)).all(axis=(1, 2, 3)).any()
    grey = (images[..., 0] == images[..., 1]).all(axis=(1, 2))
    assert grey.tolist() == [True, False] * 3
