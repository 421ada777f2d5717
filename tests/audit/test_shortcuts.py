import io
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binom, kstest
from sklearn.metrics import roc_auc_score

from lung_attention.audit.permutation import permutation_test, permuted
from lung_attention.audit.settings import ShortcutTest
from lung_attention.audit.shortcuts import PROBES, Files, find_shortcuts
from lung_attention.files import write_json
from lung_attention.images.encoding import encoding

TEST = ShortcutTest(folds=5, permutations=99, alpha=0.05, seed=0)


def clean(seed, groups=24, images=4, side=16):
    """Groups of one class, each of one size, encoding, frame and body; none has to do with the class."""
    random = np.random.default_rng(seed)
    n = groups * images
    codes = np.repeat(np.arange(groups), images)
    labels = random.permutation(np.arange(groups) % 2)[codes]
    air = random.integers(0, 60, groups)[codes]
    body = random.integers(80, 180, groups)[codes]
    thumbnails = np.repeat(air[:, None, None, None], side, axis=1).repeat(side, axis=2).repeat(3, axis=3)
    thumbnails[:, 3:-3, 3:-3] = body[:, None, None, None]
    thumbnails = thumbnails + random.integers(0, 4, (n, side, side, 1))
    sizes = np.column_stack([random.integers(3, 6, groups)[codes] * 100, np.full(n, 512)])
    encodings = np.array(["JPEG", "PNG", "TIFF"], dtype=object)[random.integers(0, 3, groups)][codes]
    return (
        Files(sizes=sizes, encodings=encodings, thumbnails=thumbnails.astype(np.uint8)),
        np.array(["a", "b"], dtype=object)[labels],
        np.array([f"p{code}" for code in codes], dtype=object),
    )


def test_a_planted_border_is_found(tmp_path):
    files, labels, groups = clean(1)
    files.thumbnails[labels == "a", 0] = 250
    found = find_shortcuts(files, labels, groups, TEST)
    border = found["probes"]["border"]
    assert border["found"] is True
    assert border["p"] == 1 / 100
    assert border["auroc"] == border["accuracy"] == border["balanced_accuracy"] == 1
    assert 0.35 < border["by_chance"]["auroc"] < 0.65
    # The bright pixels are missing in the background, which touches the border.
    assert [name for name, one in found["probes"].items() if not one["found"]] == ["image_size", "encoding"]
    assert (found["groups"], found["groups_known"]) == (24, True)
    write_json(tmp_path / "found.json", found)  # refuses NaN
    assert json.loads((tmp_path / "found.json").read_text()) == found


@pytest.mark.parametrize("planted", ["image_size", "encoding", "background"])
def test_each_probe_finds_its_own_signature(planted):
    files, labels, groups = clean(2)
    told = labels == "a"
    if planted == "image_size":
        files.sizes[told, 0] = 801
    elif planted == "encoding":
        files.encodings[told] = "JPEG, tables 0"
    else:
        files.thumbnails[:, 1:3, 1:-1] = np.where(told, 61, 5)[:, None, None, None]
    found = find_shortcuts(files, labels, groups, TEST)["probes"]
    assert [name for name, one in found.items() if one["found"]] == [planted]


def test_p_is_adjusted_by_holm():
    files, labels, groups = clean(3)
    files.sizes[labels == "a", 0] = 801
    probes = find_shortcuts(files, labels, groups, TEST)["probes"]
    assert list(probes) == list(PROBES)
    ordered = sorted(probes.values(), key=lambda one: one["p"])
    running = 0.0
    for rank, one in enumerate(ordered):
        running = max(running, min(1, (len(ordered) - rank) * one["p"]))
        assert one["p_holm"] == pytest.approx(running)


def test_clean_images_alarm_no_more_often_than_alpha_and_ignored_groups_would():
    number = 60
    alarms, careless = 0, 0
    for seed in range(number):
        files, labels, groups = clean(100 + seed)
        alarms += any(one["found"] for one in find_shortcuts(files, labels, groups, TEST)["probes"].values())
        if seed < 10:
            alone = find_shortcuts(files, labels, np.full(len(labels), "", dtype=object), TEST)
            careless += any(one["found"] for one in alone["probes"].values())
    assert alarms <= binom.ppf(0.999, number, TEST.alpha)
    assert careless >= 8  # images of a group are alike, so the groups are what keeps the alarms down


def test_p_is_uniform_without_a_shortcut():
    test = ShortcutTest(folds=3, permutations=39, alpha=0.05, seed=0)
    found = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        clusters = np.repeat(np.arange(16), 3)
        labels = random.permutation(np.arange(16) % 2)[clusters]
        seen = random.normal(size=(16, 3))[clusters] + 0.3 * random.normal(size=(48, 3))
        found.append(
            permutation_test(seen, labels, clusters, ShortcutTest(**(vars(test) | {"seed": seed}))).p
        )
    jitter = np.random.default_rng(0).random(150) / 40
    assert kstest(np.array(found) - jitter, "uniform").pvalue > 0.001
    assert np.mean(np.array(found) <= 0.05) <= binom.ppf(0.999, 150, 0.05) / 150


@settings(max_examples=60, deadline=None)
@given(groups=st.integers(2, 12), images=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_groups_of_one_size_exchange_their_mixtures_of_labels(groups, images, seed):
    random = np.random.default_rng(seed)
    clusters = random.permutation(np.repeat(np.arange(groups), images))
    labels = random.integers(0, 3, len(clusters))

    def mixtures(given):
        return Counter(tuple(sorted(given[clusters == code])) for code in range(groups))

    assert mixtures(permuted(labels, clusters, random)) == mixtures(labels)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=12), seed=st.integers(0, 2**32 - 1))
def test_a_group_of_one_label_stays_of_one_label_and_takes_it_from_a_group_of_about_its_size(sizes, seed):
    random = np.random.default_rng(seed)
    clusters = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    found = permuted(clusters, clusters, random)  # each group a label of its own
    givers = [set(found[clusters == code]) for code in range(len(sizes))]
    assert all(len(giver) == 1 for giver in givers)
    givers = [giver.pop() for giver in givers]
    assert sorted(givers) == list(range(len(sizes)))
    for own, giver in enumerate(givers):
        assert 0.5 < sizes[own] / sizes[giver] < 2


def test_permutations_move_labels():
    random = np.random.default_rng(0)
    labels = np.arange(6) % 2
    drawn = {tuple(permuted(labels, np.arange(6), random)) for _ in range(300)}
    assert len(drawn) == 20  # all ways to choose three of six


def test_p_counts_the_observed_labels_among_the_permutations():
    # Six groups, two labels: 2 of the 20 ways (the labels as they are, or exchanged) tell the classes apart.
    clusters = np.repeat(np.arange(6), 5)
    labels = (clusters >= 3).astype(np.int64)
    seen = labels[:, None] + 0.0
    test = ShortcutTest(folds=2, permutations=1, alpha=0.05, seed=0)
    outcomes = [
        permutation_test(seen, labels, clusters, ShortcutTest(**(vars(test) | {"permutations": number})))
        for number in (1, 9, 49)
    ]
    for number, outcome in zip((1, 9, 49), outcomes, strict=True):
        at_least_as_good = outcome.p * (number + 1)
        assert at_least_as_good == pytest.approx(round(at_least_as_good))
        assert at_least_as_good >= 1


def test_the_auroc_is_that_of_scikit_learn_where_one_number_orders_the_images():
    random = np.random.default_rng(4)
    labels = np.arange(400) % 2
    seen = (random.normal(size=400) + labels)[:, None]
    outcome = permutation_test(seen, labels, np.arange(400), TEST)
    assert outcome.scores["auroc"] == pytest.approx(roc_auc_score(labels, seen[:, 0]), abs=0.02)
    assert outcome.p == 1 / 100


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_few_groups_of_one_class_each_give_no_alarm_and_no_nan(tmp_path, groups):
    files, labels, names = clean(5, groups=groups)
    files.thumbnails[labels == "a", 0] = 250
    found = find_shortcuts(files, labels, names, TEST)
    write_json(tmp_path / "found.json", found)
    assert found["probes"]["border"]["p"] > 0.05
    assert not any(one["found"] for one in found["probes"].values())


def test_probes_for_which_all_images_are_alike_are_named_and_not_tested():
    files, labels, groups = clean(6)
    files.sizes[:] = 512
    files.encodings[:] = "PNG"
    found = find_shortcuts(files, labels, groups, TEST)
    assert found["nothing_to_see"] == ["image_size", "encoding"]
    assert list(found["probes"]) == ["border", "background"]


@pytest.mark.parametrize("alike", ["labels", "groups"])
def test_one_class_or_one_group_is_not_tested(alike):
    files, labels, groups = clean(7)
    (labels if alike == "labels" else groups)[:] = "x"
    assert find_shortcuts(files, labels, groups, TEST)["probes"] == {}


def test_images_without_group_count_alone():
    files, labels, groups = clean(8)
    groups[4:] = ""
    found = find_shortcuts(files, labels, groups, TEST)
    assert (found["groups"], found["groups_known"]) == (1 + len(labels) - 4, True)
    groups[:] = ""
    found = find_shortcuts(files, labels, groups, TEST)
    assert (found["groups"], found["groups_known"]) == (len(labels), False)


def test_the_encoding_tells_programs_apart_and_not_pictures():
    def written(seed, **options):
        pixels = np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, **options)
        return encoding(stream.getvalue())

    assert written(0, format="JPEG", quality=75) == written(1, format="JPEG", quality=75)
    assert written(0, format="JPEG", quality=75) != written(0, format="JPEG", quality=90)
    assert written(0, format="PNG") == written(1, format="PNG") == "PNG, L, no EXIF"
    with_exif = Image.Exif()
    with_exif[0x0131] = "a program"
    assert written(0, format="JPEG", exif=with_exif).endswith(", EXIF")
