import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_attention.audit.dataset import audit
from lung_attention.audit.text import markdown
from lung_attention.errors import UserError
from lung_attention.files import write_json
from lung_attention.images.similarity import grey, near_pairs, nearest, unit_vectors

NO_SHORTCUTS = {
    "groups": 6,
    "groups_known": True,
    "permutations": 99,
    "alpha": 0.05,
    "nothing_to_see": [],
    "probes": {},
}


def random_thumbnails(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, 64, 64, 3), dtype=np.uint8)


def manifest_of(labels, *, sha256=None, sizes=None):
    n = len(labels)
    sizes = sizes or [(512, 512)] * n
    return pd.DataFrame(
        {
            "image": [f"{label}/{row}.png" for row, label in enumerate(labels)],
            "label": labels,
            "bytes": 1,
            "sha256": list(sha256) if sha256 else [f"file {row}" for row in range(n)],
            "width": [width for width, _ in sizes],
            "height": [height for _, height in sizes],
            "group": "",
        }
    )


def published(manifest, subsets):
    return manifest[["image", "label", "group"]].assign(fold=0, subset=list(subsets))


def grouped(manifest, folds):
    return manifest[["image", "label", "group"]].assign(fold=list(folds), subset="cross_validation")


def run(manifest, splits, *, groups=None, thumbnails=None, **changed):
    options = {
        "near_duplicate_cosine": 0.98,
        "near_duplicates_leak": True,
        "group_unit": "patient",
        "groups_inferred": False,
        "listed": 20,
        "shortcuts": NO_SHORTCUTS,
        **changed,
    }
    if thumbnails is None:
        thumbnails = random_thumbnails(len(manifest))
    return audit(manifest, thumbnails, groups or [""] * len(manifest), splits, **options)


SIX = ["a", "a", "a", "b", "b", "b"]
SUBSETS = ["train", "train", "test", "train", "validation", "test"]


def test_identical_files_are_counted_within_and_across_subsets_and_classes():
    # x: two in train, one in test; y: train and validation, under two classes.
    manifest = manifest_of(["a", "a", "a", "a", "b", "b"], sha256="xxxyyz")
    subsets = ["train", "train", "test", "train", "validation", "test"]
    found = run(manifest, {"published": published(manifest, subsets)})
    assert found["redundant_files"] == {"total": 3, "within_classes": 2, "across_classes": 1}
    split = found["splits"]["published"]
    assert split["redundant_files"] == {"within": 1, "across": 2}
    assert split["test_images"] == 2
    assert split["test_images_with_identical_file_in_training"] == 1
    assert split["listed"]["identical_files"] == [
        ["a/0.png", "a/1.png", "a/2.png"],
        ["a/3.png", "b/4.png"],
    ]
    assert split["listed"]["test_images_with_duplicate_in_training"] == ["a/2.png"]
    assert split["rounds"][0]["images_per_class"] == {
        "train": {"a": 3},
        "validation": {"b": 1},
        "test": {"a": 1, "b": 1},
    }
    assert split["leak"] is True
    assert "2 redundant identical files across subsets" in split["sentence"]
    assert "1 of 2 (50.0%) test images have a near-duplicate in training" in split["sentence"]


def test_near_duplicates_are_counted_between_each_pair_of_subsets():
    manifest = manifest_of(SIX)
    thumbnails = random_thumbnails(6)
    thumbnails[3] = thumbnails[2]  # the test image first, the training image later
    thumbnails[3, 0, 0] ^= 8  # not the same picture, but nearly
    thumbnails[5] = thumbnails[4]
    thumbnails[5, 0, 0] ^= 8
    found = run(manifest, {"published": published(manifest, SUBSETS)}, thumbnails=thumbnails)
    split = found["splits"]["published"]
    assert split["near_duplicate_pairs"] == {
        "within": 0,
        "across": 2,
        "between": {"train|validation": 0, "train|test": 1, "validation|test": 1},
    }
    assert split["test_images_with_near_duplicate_in_training"] == 1
    assert split["test_images_with_duplicate_in_training"] == 1
    assert split["test_images_with_identical_file_in_training"] == 0
    assert split["leak"] is True
    assert found["contradictory"] == {"images": 0, "sets": []}


def test_near_duplicates_inform_but_do_not_judge_where_the_caller_says_so():
    manifest = manifest_of(SIX)
    thumbnails = random_thumbnails(6)
    thumbnails[2] = thumbnails[0]
    splits = {"published": published(manifest, SUBSETS)}
    found = run(manifest, splits, thumbnails=thumbnails, near_duplicates_leak=False)
    split = found["splits"]["published"]
    assert split["near_duplicate_pairs"]["across"] == 1
    assert split["leak"] is False
    assert "1 near-duplicate pair (cosine ≥ 0.98) across subsets" in split["sentence"]
    assert "no near-duplicate" not in split["sentence"]


def test_one_image_moved_across_makes_a_clean_grouped_split_leak():
    labels = ["a", "a", "b", "b", "a", "a", "b", "b"]
    groups = ["p", "p", "q", "q", "r", "r", "s", "s"]
    manifest = manifest_of(labels)
    clean = grouped(manifest, [0, 0, 0, 0, 1, 1, 1, 1])
    moved = grouped(manifest, [0, 0, 0, 1, 1, 1, 1, 1])
    found = run(manifest, {"clean": clean, "moved": moved}, groups=groups)
    assert found["splits"]["clean"]["leak"] is False
    assert found["splits"]["clean"]["sentence"] == (
        "No leak found by these criteria: no file of identical bytes, no near-duplicate pair (thumbnails "
        "with cosine ≥ 0.98) and no group (patient, as given) stands on two sides."
    )
    split = found["splits"]["moved"]
    assert split["leak"] is True
    assert split["groups_on_two_sides"] == 1
    assert split["listed"]["groups"] == ["q"]
    assert split["test_images_with_group_in_training"] == 2  # each of the two, when its fold is tested
    assert [one["test_images_with_group_in_training"] for one in split["rounds"]] == [1, 1]
    assert "1 of 4 groups (patient, as given) on two sides" in split["sentence"]


CONSTRUCTION = "The split was drawn by these groups, so that none is divided holds by construction."
NOT_RECOGNISED = "Related images that were not recognised as such may stand on two sides all the same"


@pytest.mark.parametrize("inferred", [True, False])
def test_a_split_drawn_by_its_groups_is_said_to_divide_none_by_construction(inferred):
    groups = ["p", "q", "r", "s", "t", "u"]
    manifest = manifest_of(SIX)
    own = manifest.assign(group=groups)
    splits = {
        "drawn": grouped(own, [0, 1, 0, 1, 0, 1]),
        "by others": grouped(own.assign(group="v"), [0, 1, 0, 1, 0, 1]),
        "by image": published(own, SUBSETS),
    }
    unit = "source tile (inferred)" if inferred else "patient"
    found = run(
        manifest,
        splits,
        groups=groups,
        group_unit=unit,
        groups_inferred=inferred,
        near_duplicates_leak=False,
    )
    assert found["groups"]["inferred"] is inferred
    said = {name: split["sentence"] for name, split in found["splits"].items()}
    assert [split["drawn_by_groups"] for split in found["splits"].values()] == [True, False, False]
    assert [CONSTRUCTION in sentence for sentence in said.values()] == [True, False, False]
    what = "source tile, inferred from these images" if inferred else "patient, as given"
    for sentence in said.values():
        assert sentence.startswith(
            f"No leak found by these criteria: no file of identical bytes and no group ({what}) stands on two"
        )
        assert (NOT_RECOGNISED in sentence) is inferred
        assert "cosine" not in sentence, "look-alikes are no criterion here"


def test_images_without_a_group_are_counted_where_others_have_one():
    manifest = manifest_of(SIX)
    splits = {"published": published(manifest, SUBSETS)}
    found = run(manifest, splits, groups=["p", "p", "", "q", "", ""])
    assert found["splits"]["published"]["sentence"].endswith("The group of 3 images is not known.")


def test_a_cross_validation_is_judged_fold_by_fold():
    manifest = manifest_of(["a", "b", "a", "b", "a", "b"], sha256="xyzzxv")
    split = run(manifest, {"grouped": grouped(manifest, [0, 0, 1, 1, 2, 2])})["splits"]["grouped"]
    assert [one["fold"] for one in split["rounds"]] == [0, 1, 2]
    # Of the pair x one lies in fold 0, one in fold 2; z lies twice in fold 1.
    assert [one["test_images_with_identical_file_in_training"] for one in split["rounds"]] == [1, 0, 1]
    assert split["redundant_files"] == {"within": 1, "across": 1}
    assert split["rounds"][1]["redundant_files"] == {"within": 2, "across": 0}
    assert split["test_images"] == 6
    assert split["test_images_with_identical_file_in_training"] == 2
    assert split["rounds"][0]["images_per_class"] == {"train": {"a": 2, "b": 2}, "test": {"a": 1, "b": 1}}


def test_groups_and_pictures_under_two_labels_are_listed():
    manifest = manifest_of(["a", "a", "b", "b"])
    thumbnails = random_thumbnails(4)
    thumbnails[2] = thumbnails[0]
    found = run(
        manifest,
        {"published": published(manifest, ["train", "train", "train", "test"])},
        groups=["p", "p", "p", ""],
        thumbnails=thumbnails,
    )
    assert found["contradictory"] == {"images": 2, "sets": [{"a": ["a/0.png"], "b": ["b/2.png"]}]}
    assert found["groups"] == {
        "unit": "patient",
        "inferred": False,
        "number": 1,
        "images_with_group": 3,
        "smallest": 3,
        "largest": 3,
        "median": 3.0,
        "mean": 3.0,
        "two_labels": [{"group": "p", "images_per_class": {"a": 2, "b": 1}}],
    }
    assert found["splits"]["published"]["leak"] is False
    assert any("1 of 1 group carry more than one class: p" in one for one in found["findings"])


def test_a_size_that_gives_the_class_away_is_found_and_a_single_odd_image_is_not():
    sizes = [(512, 512)] * 5 + [(801, 512)] * 2 + [(500, 512)]
    manifest = manifest_of(["a", "a", "b", "b", "b", "b", "b", "a"], sizes=sizes)
    found = run(manifest, {"published": published(manifest, ["train", "test"] * 4)})
    size = found["shape"]["size"]
    assert size["most_common"] == "512x512"
    assert size["odd_images_per_class"] == {"b": 2, "a": 1}
    assert size["giveaways"] == [{"value": "801x512", "label": "b", "images": 2}]
    assert size["giveaway_images"] == 2
    # 2 · (C(3,2) + C(5,2)) / C(8,2), and five of one class: 5 · C(5,5) / C(8,5)
    assert size["giveaway_images_expected"] == pytest.approx(2 * 13 / 28 + 5 / 56)
    assert sum("occurs in one class only: 2 b" in one for one in found["findings"]) == 1


def test_the_expected_number_of_giveaways_is_the_mean_over_all_ways_to_deal_the_labels():
    sizes = [(100 + ord(value), 100) for value in "vvwwwu"]
    found = []
    for chosen in combinations(range(6), 2):
        manifest = manifest_of(["a" if row in chosen else "b" for row in range(6)], sizes=sizes)
        found.append(run(manifest, {})["shape"]["size"])
    counts = [one["giveaway_images"] for one in found]
    assert len(set(counts)) > 1
    assert found[0]["giveaway_images_expected"] == pytest.approx(np.mean(counts))


def test_the_result_is_json_and_its_markdown_names_every_split(tmp_path):
    manifest = manifest_of(SIX, sha256="xyxuvw")
    found = run(
        manifest,
        {"published": published(manifest, SUBSETS), "grouped": grouped(manifest, [0, 1, 0, 1, 0, 1])},
        groups=["p", "q", "p", "r", "s", "r"],
    )
    write_json(tmp_path / "audit.json", found)  # refuses NaN; NumPy numbers would raise
    assert json.loads((tmp_path / "audit.json").read_text()) == found
    text = markdown(found)
    assert "| published | 2 | 1 | 0 | 2 | 2 | **yes** |" in text
    assert "| grouped | 6 | 0 | 0 | 0 | 0 | no |" in text
    assert "4 groups (here: patient)" in text


def probe(title, found):
    scores = {"accuracy": 0.9, "balanced_accuracy": 0.8, "auroc": 0.95}
    by_chance = {"accuracy": 0.6, "balanced_accuracy": 0.5, "auroc": 0.51}
    p = 0.01 if found else 0.4
    return {"title": title, **scores, "by_chance": by_chance, "p": p, "p_holm": 2 * p, "found": found}


@pytest.mark.parametrize("known", [True, False])
def test_shortcuts_are_said_and_are_no_leak(known):
    probes = {"border": probe("outermost pixels", True), "encoding": probe("encoding of the file", False)}
    shortcuts = NO_SHORTCUTS | {"probes": probes, "groups_known": known}
    manifest = manifest_of(SIX)
    found = run(manifest, {"published": published(manifest, SUBSETS)}, shortcuts=shortcuts)
    assert found["shortcuts"] == shortcuts
    assert found["splits"]["published"]["leak"] is False
    said = found["findings"][-1]
    assert said.startswith(
        "Shortcut: the class can be told without a look inside the image from outermost pixels "
        "(AUROC 0.95, by chance 0.51, p = 0.02) "
    )
    assert "encoding" not in said
    assert ("Groups are not known" in said) is not known
    assert "| outermost pixels | 0.900 | 0.800 | 0.950 | 0.510 | 0.010 | 0.020 |" in markdown(found)


def test_the_lack_of_shortcuts_is_said_and_untested_images_get_no_sentence():
    manifest = manifest_of(SIX)
    probes = {"border": probe("outermost pixels", False)}
    found = run(manifest, {}, shortcuts=NO_SHORTCUTS | {"probes": probes})
    assert (
        "No shortcut found: outermost pixels tells the class no better than chance" in found["findings"][-1]
    )
    untested = run(manifest, {})
    assert not any("hortcut" in one for one in untested["findings"])
    assert "seen without a look inside" not in markdown(untested)


def test_unknown_groups_are_said_to_be_unknown():
    manifest = manifest_of(SIX)
    split = run(manifest, {"published": published(manifest, SUBSETS)})["splits"]["published"]
    assert split["leak"] is False
    assert split["groups_on_two_sides"] == 0
    assert split["test_images_with_group_in_training"] == 0
    assert "Groups are not known" in split["sentence"]


def test_names_are_listed_up_to_the_limit_and_counted_beyond():
    manifest = manifest_of(["a"] * 4 + ["b"] * 4, sha256="wxyzwxyz")
    found = run(manifest, {"published": published(manifest, ["train"] * 4 + ["test"] * 4)}, listed=2)
    split = found["splits"]["published"]
    assert len(split["listed"]["identical_files"]) == 2
    assert len(split["listed"]["test_images_with_duplicate_in_training"]) == 2
    assert split["test_images_with_duplicate_in_training"] == 4


def test_a_split_of_other_images_or_of_unknown_subsets_is_refused():
    manifest = manifest_of(SIX)
    split = published(manifest, SUBSETS)
    with pytest.raises(UserError, match="do not name the same images"):
        run(manifest, {"published": split[::-1]})
    with pytest.raises(UserError, match="Received: holdout"):
        run(manifest, {"published": split.assign(subset="holdout")})


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(4, 40),
    seed=st.integers(0, 2**32 - 1),
    cosine=st.floats(0.5, 1.0),
)
def test_unrelated_images_never_leak(n, seed, cosine):
    generator = np.random.default_rng(seed)
    manifest = manifest_of(generator.choice(["a", "b"], n).tolist())
    groups = generator.integers(0, 5, n)
    splits = {
        "published": published(manifest, np.where(groups < 3, "train", "test")),
        "grouped": grouped(manifest, groups),
    }
    found = run(
        manifest,
        splits,
        groups=[f"g{group}" for group in groups],
        thumbnails=random_thumbnails(n, seed),
        near_duplicate_cosine=cosine,
    )
    assert not any(split["leak"] for split in found["splits"].values())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), planted=st.integers(0, 11), kind=st.sampled_from(["file", "picture"]))
def test_one_planted_duplicate_always_leaks(seed, planted, kind):
    thumbnails = random_thumbnails(24, seed)
    sha256 = [f"file {row}" for row in range(24)]
    if kind == "file":
        sha256[12 + planted] = sha256[planted]
    else:
        thumbnails[12 + planted] = thumbnails[planted]
    manifest = manifest_of(["a", "b"] * 12, sha256=sha256)
    found = run(manifest, {"grouped": grouped(manifest, [0] * 12 + [1] * 12)}, thumbnails=thumbnails)[
        "splits"
    ]["grouped"]
    assert found["leak"] is True
    assert found["test_images_with_duplicate_in_training"] == 2


def test_grey_values_survive_and_colours_get_their_luma():
    thumbnails = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    thumbnails[0] = 200
    thumbnails[1, ..., 1] = 100
    luma = grey(thumbnails)
    assert luma[0] == pytest.approx(200, abs=1e-4)
    assert luma[1] == pytest.approx(58.7, abs=1e-4)


def test_unit_vectors_ignore_brightness_and_contrast_and_blank_images_match_nothing():
    thumbnails = np.zeros((4, 64, 64, 3), dtype=np.uint8)
    ramp = np.arange(64, dtype=np.uint8)[None, :, None]
    thumbnails[0], thumbnails[1] = ramp, 2 * ramp + 30
    thumbnails[2], thumbnails[3] = 77, 77
    vectors = unit_vectors(thumbnails)
    assert vectors[0] @ vectors[1] == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 0, 0], abs=1e-5)
    pairs = [
        pair for first, second in near_pairs(vectors, cosine=1.0) for pair in zip(first, second, strict=True)
    ]
    assert pairs == [(0, 1)]


def test_pairs_and_neighbours_equal_those_of_the_whole_matrix():
    # More rows than one block of the product holds.
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(1100, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    expected = set(zip(*np.nonzero(np.triu(cosines >= 0.9, k=1)), strict=True))
    found = [
        pair for first, second in near_pairs(vectors, cosine=0.9) for pair in zip(first, second, strict=True)
    ]
    assert len(found) == len(set(found)) > 1000
    assert set(found) == expected
    np.testing.assert_array_equal(nearest(vectors[:700], vectors[700:]), cosines[:700, 700:].argmax(axis=1))


def test_equally_near_neighbours_fall_to_the_first():
    candidates = np.eye(3, dtype=np.float32)[[1, 0, 0]]
    candidates[1, 0] = np.nextafter(np.float32(1), np.float32(0))  # equal but for the rounding of a product
    assert nearest(np.eye(3, dtype=np.float32)[[0]], candidates).tolist() == [1]
