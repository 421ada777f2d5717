from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from lung_attention.errors import UserError
from lung_attention.evaluation.baselines import linear
from lung_attention.evaluation.baselines.forest import histogram_forest
from lung_attention.evaluation.baselines.linear import logistic, stacked
from lung_attention.evaluation.baselines.lookup import majority, nearest_neighbour, same_size
from lung_attention.evaluation.baselines.run import run_baselines
from lung_attention.evaluation.baselines.settings import BaselineSettings
from lung_attention.evaluation.baselines.table import BASELINES, Images, baselines_of
from lung_attention.evaluation.baselines.training_part import Training, choose, inner_folds
from lung_attention.images.similarity import unit_vectors

CLASSES = ("normal", "malignant", "benign")
SETTINGS = BaselineSettings(seed=7, inner_folds=3, trees=10, histogram_bins=[8, 32], C=[0.001, 0.1, 10.0])


def training(labels, clusters=None, **changed):
    labels = np.asarray(labels)
    clusters = np.arange(len(labels)) if clusters is None else np.asarray(clusters)
    return Training(labels, clusters, 3, replace(SETTINGS, **changed))


def dataset(n=36, seed=0):
    """Noise whose brightness tells the class, rows in class order; two images a group."""
    generator = np.random.default_rng(seed)
    codes = np.arange(n) * 3 // n
    thumbnails = (generator.integers(0, 80, (n, 64, 64, 3)) + 80 * codes[:, None, None, None]).astype(
        np.uint8
    )
    manifest = pd.DataFrame(
        {
            "image": [f"{row}.png" for row in range(n)],
            "label": [CLASSES[code] for code in codes],
            "width": np.where(codes == 1, 300, 200),
            "height": 200,
            "group": [f"g{row // 2}" for row in range(n)],
            "diameter_mm": codes * 4 + generator.random(n),
        }
    )
    features = generator.normal(size=(n, 2, 2, 20)) + codes[:, None, None, None]
    return Images(manifest, thumbnails, {"small": features.astype(np.float16)})


def published(manifest, subsets):
    return manifest[["image", "label", "group"]].assign(fold=0, subset=subsets)


def grouped(manifest, folds):
    return manifest[["image", "label", "group"]].assign(fold=folds, subset="cross_validation")


def by_group(manifest, folds=3):
    return np.array([int(group[1:]) % folds for group in manifest["group"]])


def run(split, images, baselines=None):
    return run_baselines(
        baselines or baselines_of(["small"], ["diameter_mm"], frame_is_empty=True),
        split,
        images,
        CLASSES,
        SETTINGS,
    )


def test_majority_predicts_the_class_shares():
    found = majority(np.zeros((4, 2)), np.zeros((2, 2)), training([0, 1, 1, 1])).probabilities
    np.testing.assert_allclose(found, [[0.25, 0.75, 0], [0.25, 0.75, 0]])


def test_nearest_neighbour_by_hand():
    test = np.array([[0.6, 0.8, 0], [0, 0, 1]], dtype=np.float32)
    found = nearest_neighbour(np.eye(3, dtype=np.float32), test, training([0, 0, 1])).probabilities
    # One observation of the neighbour's class and one pseudo-observation of the shares (2/3, 1/3, 0).
    np.testing.assert_allclose(found, [[5 / 6, 1 / 6, 0], [1 / 3, 2 / 3, 0]])


def test_nearest_neighbour_agrees_with_scikit_learn():
    generator = np.random.default_rng(1)
    vectors = unit_vectors(generator.integers(0, 256, (900, 64, 64, 3), dtype=np.uint8))
    labels = generator.integers(0, 3, 200)
    ours = nearest_neighbour(vectors[:200], vectors[200:], training(labels)).probabilities.argmax(axis=1)
    peer = KNeighborsClassifier(1, metric="cosine", algorithm="brute").fit(vectors[:200], labels)
    np.testing.assert_array_equal(ours, peer.predict(vectors[200:]))


def test_same_size_by_hand():
    train = np.array([[512, 512], [512, 512], [801, 512], [512, 512]])
    test = np.array([[801, 512], [512, 512], [9, 9]])
    found = same_size(train, test, training([0, 0, 1, 1])).probabilities
    # Counts of the size plus the shares (1/2, 1/2), made to sum to 1.
    np.testing.assert_allclose(found, [[0.25, 0.75, 0], [2.5 / 4, 1.5 / 4, 0], [0.5, 0.5, 0]])


def counts_of(values, pixels=20):
    """Images of one value each, `(n, 1, 256)`."""
    counts = np.zeros((len(values), 1, 256), dtype=np.uint16)
    counts[np.arange(len(values)), 0, values] = pixels
    return counts


def test_a_forest_keeps_absent_classes_at_zero():
    counts = counts_of([10, 200] * 10)
    found = histogram_forest(counts, counts[:2], training([0, 2] * 10)).probabilities
    assert found.argmax(axis=1).tolist() == [0, 2]
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize(("values", "bins"), [((10, 200), 4), ((129, 131), 128)])
def test_a_forest_takes_as_many_bins_as_it_needs(values, bins):
    counts = counts_of(list(values) * 10)
    found = histogram_forest(counts, counts, training([0, 1] * 10, histogram_bins=[4, 128]))
    assert found.chosen == {"bins": bins}
    assert found.probabilities.argmax(axis=1).tolist() == [0, 1] * 10


def test_a_forest_sees_how_many_pixels_there_are_even_if_none():
    pixels = np.array([0, 30] * 10, dtype=np.uint16)
    found = histogram_forest(
        counts_of([9] * 20, pixels), counts_of([9] * 2, pixels[:2]), training([1, 2] * 10)
    )
    assert found.probabilities.argmax(axis=1).tolist() == [1, 2]


def blind_view(name, thumbnails):
    return BASELINES[name].see(replace(dataset(len(thumbnails)), thumbnails=thumbnails))


def test_the_border_sees_the_outermost_pixels_alone():
    thumbnails = dataset(6).thumbnails
    inside, frame = thumbnails.copy(), thumbnails.copy()
    inside[:, 1:-1, 1:-1] = 3
    frame[:, 0, 0] = 3
    seen = blind_view("border", thumbnails)
    assert (seen.sum(axis=2) == 4 * 63).all()
    np.testing.assert_array_equal(seen, blind_view("border", inside))
    assert not np.array_equal(seen, blind_view("border", frame))


def test_the_background_sees_the_air_around_a_body_and_nothing_in_it():
    thumbnails = np.full((3, 64, 64, 3), 20, dtype=np.uint8)
    thumbnails[:, 10:50, 10:50] = 120
    other = thumbnails.copy()
    other[0, 20:30, 20:30] = 0  # a lung, as dark as air but closed in
    other[1, 20:30, 20:30] = 250
    other[2, :5] = 40
    before, after = blind_view("background", thumbnails), blind_view("background", other)
    assert (before.sum(axis=(1, 2)) == 64 * 64 - 40 * 40).all()
    np.testing.assert_array_equal(before[:2], after[:2])
    assert not np.array_equal(before[2], after[2])


def test_blind_baselines_do_not_see_the_middle_of_an_image():
    images = dataset()
    thumbnails = np.full_like(images.thumbnails, 20)
    thumbnails[:, 4:60, 4:60] = 130
    changed = thumbnails.copy()
    changed[:, 5:59, 5:59] = images.thumbnails[:, 5:59, 5:59]
    split = grouped(images.manifest, by_group(images.manifest))
    blind = {name: one for name, one in BASELINES.items() if one.blind}
    assert set(blind) == {"majority", "image_size", "border", "background"}
    first, second = (run(split, replace(images, thumbnails=one), blind) for one in (thumbnails, changed))
    pd.testing.assert_frame_equal(first.predictions, second.predictions)


def columns(n, d, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = generator.normal(size=(3, d)) * 0.3
    return generator.normal(size=(n, d)) * (1 + np.arange(d)) + centres[labels] * (1 + np.arange(d)), labels


@pytest.mark.parametrize(("n", "d"), [(60, 12), (60, 200)])
@pytest.mark.parametrize("C", [0.001, 1.0])
def test_the_logistic_regression_is_that_of_scikit_learn_on_the_columns_as_they_are(n, d, C, monkeypatch):
    # Both to the end, so that the turned axes alone could make a difference.
    monkeypatch.setattr(linear, "LogisticRegression", partial(LogisticRegression, tol=1e-9))
    seen, labels = columns(n + 30, d)
    found = logistic(seen[:n], seen[n:], training(labels[:n], C=[C]))
    scaler = StandardScaler().fit(seen[:n])
    peer = LogisticRegression(C=C, tol=1e-9, max_iter=20000).fit(scaler.transform(seen[:n]), labels[:n])
    np.testing.assert_allclose(found.probabilities, peer.predict_proba(scaler.transform(seen[n:])), atol=1e-5)
    assert found.chosen == {"C": C}


@pytest.mark.parametrize("d", [8, 150])
def test_the_penalty_is_the_one_with_the_least_brier_score_in_the_inner_folds(d):
    seen, labels = columns(90, d, seed=3)
    part = training(labels, np.arange(90) // 6 * 3 + labels, C=[1e-5, 1e-3, 1e-1, 10.0])
    scaled = StandardScaler().fit_transform(seen)
    losses = [
        sum(
            (
                (LogisticRegression(C=C, max_iter=5000).fit(scaled[train], labels[train]))
                .predict_proba(scaled[test])
                - np.eye(3)[labels[test]]
            ).__pow__(2).sum()
            for train, test in inner_folds(part)
        )
        for C in part.settings.C
    ]  # fmt: skip
    assert logistic(seen, seen[:1], part).chosen == {"C": part.settings.C[int(np.argmin(losses))]}


def test_a_class_that_training_lacks_gets_nothing_from_a_logistic_regression():
    seen, labels = columns(30, 4)
    found = logistic(seen, seen, training(np.where(labels == 1, 0, labels))).probabilities
    assert (found[:, 1] == 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


@example_settings(max_examples=40, deadline=None)
@given(
    clusters=st.lists(st.integers(0, 9), min_size=4, max_size=60),
    seed=st.integers(0, 2**32 - 1),
    pure=st.booleans(),
)
@pytest.mark.filterwarnings("ignore:The least populated class")
def test_inner_folds_keep_groups_apart_and_test_every_image_once_at_most(clusters, seed, pure):
    clusters = np.array(clusters)
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, 10)[clusters] if pure else random.integers(0, 3, len(clusters))
    rounds = inner_folds(training(labels, clusters))
    for train, test in rounds:
        assert not set(clusters[train]) & set(clusters[test])
        assert len(train) + len(test) == len(labels)
        assert len(test) and len(set(labels[train])) > 1
    tested = np.concatenate([test for _, test in rounds]) if rounds else np.array([], dtype=int)
    assert len(set(tested)) == len(tested)
    groups_of_rarest = min(len(set(clusters[labels == code])) for code in set(labels))
    assert len(rounds) <= min(SETTINGS.inner_folds, groups_of_rarest)
    if groups_of_rarest > 1 and pure and len(set(labels)) > 1:
        assert rounds


def test_inner_folds_are_plain_and_stratified_where_no_group_is_known():
    rounds = inner_folds(training([0, 0, 0, 1, 1, 1, 2, 2, 2]))
    assert [sorted(np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])[test]) for _, test in rounds] == [[0, 1, 2]] * 3


def test_without_inner_folds_the_first_candidate_is_chosen():
    part = training([0, 0, 1, 1], [0, 0, 1, 1])  # a class has a single group
    assert inner_folds(part) == []
    assert choose([5, 6], part, lambda *_: pytest.fail("nothing to predict")) == 0
    found = logistic(np.array([[0.0], [0.1], [1.0], [1.1]]), np.array([[2.0]]), part)
    assert found.chosen == {"C": SETTINGS.C[0]}


def test_the_better_candidate_is_chosen_and_of_equal_ones_the_first():
    part = training([0, 1, 2] * 4)
    truth = np.eye(3)[part.labels]
    blunt = np.full_like(truth, 1 / 3)
    assert choose([1, 2], part, lambda _, rows: [blunt[rows], truth[rows]]) == 1
    assert choose([1, 2], part, lambda _, rows: [blunt[rows], blunt[rows]]) == 0


def test_a_published_split_is_predicted_from_its_training_part_alone():
    images = dataset()
    subset = np.array(["train", "validation", "test"])[np.arange(36) % 3]
    split = published(images.manifest.assign(group=""), subset)
    table = run(split, images).predictions
    assert list(table) == [
        "baseline", "image", "label", "group", "fold", "seed", "prediction",
        "probability_normal", "probability_malignant", "probability_benign",
    ]  # fmt: skip
    assert table["baseline"].unique().tolist() == [
        "majority", "image_size", "border", "background", "nearest_neighbour", "histogram_forest",
        "linear_probe_small", "covariate_diameter_mm", "together_small",
    ]  # fmt: skip
    tested = split[split["subset"] == "test"]
    for _, part in table.groupby("baseline"):
        assert part["image"].tolist() == tested["image"].tolist()
        assert part["label"].tolist() == tested["label"].tolist()
    assert set(table["seed"]) == {7} and set(table["fold"]) == {0}
    right = (table["label"] == table["prediction"]).groupby(table["baseline"]).mean()
    assert right[["histogram_forest", "border", "covariate_diameter_mm"]].tolist() == [1, 1, 1]
    assert right["linear_probe_small"] > 0.8
    size = table[table["baseline"] == "image_size"]  # malignant images alone are 300 pixels wide
    np.testing.assert_array_equal(size["prediction"] == "malignant", size["label"] == "malignant")
    changed = damaged(images, subset == "validation")
    pd.testing.assert_frame_equal(table, run(split, changed).predictions)


def damaged(images, rows):
    """Other thumbnails, features, sizes and covariates in some rows, labels left."""
    generator = np.random.default_rng(99)
    thumbnails, features = images.thumbnails.copy(), images.features["small"].copy()
    thumbnails[rows] = generator.integers(0, 256, thumbnails[rows].shape, dtype=np.uint8)
    features[rows] = generator.normal(scale=50, size=features[rows].shape)
    manifest = images.manifest.copy()
    manifest.loc[rows, ["width", "height"]] = 7
    manifest.loc[rows, "diameter_mm"] = 1e6
    return Images(manifest, thumbnails, {"small": features})


def test_rubbish_in_the_test_part_changes_neither_what_is_chosen_nor_other_predictions():
    images = dataset()
    generator = np.random.default_rng(5)
    noisy = replace(
        images,
        thumbnails=(images.thumbnails // 2 + generator.integers(0, 128, (36, 64, 64, 1))).astype(np.uint8),
    )
    subset = np.where(by_group(images.manifest) == 0, "test", "train")
    split = published(images.manifest, subset)
    rubbish = np.flatnonzero(subset == "test")[::2]
    # The labels of what is tested must not matter either.
    relabelled = split.copy()
    relabelled.loc[rubbish, "label"] = "benign"
    changed = damaged(noisy, np.isin(np.arange(36), rubbish))
    changed = replace(changed, manifest=changed.manifest.assign(label=relabelled["label"]))
    before, after = run(split, noisy), run(relabelled, changed)
    assert before.chosen == after.chosen
    assert {name for name, one in before.chosen.items() if one} == {
        "border", "background", "histogram_forest", "linear_probe_small", "covariate_diameter_mm",
        "together_small",
    }  # fmt: skip
    names = images.manifest["image"].iloc[rubbish]
    kept = [
        one.predictions[~one.predictions["image"].isin(names)].reset_index(drop=True)
        for one in (before, after)
    ]
    assert len(kept[0])
    pd.testing.assert_frame_equal(*kept)
    everything = damaged(noisy, subset == "test")
    assert run(split, everything).chosen == before.chosen


def test_a_grouped_split_is_predicted_out_of_fold():
    images = dataset()
    images.thumbnails[1], images.thumbnails[11] = images.thumbnails[0], images.thumbnails[20]
    folds = by_group(images.manifest)
    found = run(grouped(images.manifest, folds), images)
    for name, part in found.predictions.groupby("baseline"):
        assert part["image"].tolist() == images.manifest["image"].tolist()
        assert part["fold"].tolist() == folds.tolist()
        np.testing.assert_allclose(part.filter(like="probability_").sum(axis=1), 1, atol=1e-9)
        names = part.filter(like="probability_").idxmax(axis=1).str.removeprefix("probability_")
        assert part["prediction"].tolist() == names.tolist()
        chosen = found.chosen[name]
        assert not chosen or list(chosen) == ["0", "1", "2"]
    bins = {one["bins"] for one in found.chosen["histogram_forest"].values()}
    assert bins <= set(SETTINGS.histogram_bins)
    assert {one["C"] for one in found.chosen["linear_probe_small"].values()} <= set(SETTINGS.C)
    neighbour = found.predictions.query("baseline == 'nearest_neighbour'").set_index("image")["prediction"]
    vectors = unit_vectors(images.thumbnails)
    assert folds[0] == folds[1] and folds[11] != folds[20]
    for row in range(36):
        others = np.flatnonzero(folds != folds[row])
        best = others[(vectors[others] @ vectors[row]).argmax()]
        assert neighbour[f"{row}.png"] == images.manifest["label"][best]


def test_some_baselines_give_what_they_give_among_all():
    images = dataset()
    split = grouped(images.manifest, by_group(images.manifest))
    everything = run(split, images).predictions
    alone = run(split, images, {"border": BASELINES["border"]}).predictions
    assert alone["baseline"].unique().tolist() == ["border"]
    pd.testing.assert_frame_equal(
        alone, everything[everything["baseline"] == "border"].reset_index(drop=True)
    )


def test_the_seed_decides():
    images = dataset()
    noise = np.random.default_rng(5).integers(0, 256, images.thumbnails.shape, dtype=np.uint8)
    images, split = replace(images, thumbnails=noise), grouped(images.manifest, by_group(images.manifest))
    forest = {"histogram_forest": BASELINES["histogram_forest"]}
    tables = [
        run_baselines(forest, split, images, CLASSES, replace(SETTINGS, seed=seed)).predictions
        for seed in (1, 1, 2)
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].drop(columns="seed").equals(tables[2].drop(columns="seed"))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("weight", "no column 'weight'"),
        ("label", "'label' of image '0.png' is no number"),
        ("gap", "'gap' of image '3.png'"),
    ],
)
def test_a_covariate_that_is_no_column_of_numbers_is_refused(column, said):
    images = dataset()
    images = replace(images, manifest=images.manifest.assign(gap=[1.0, 2, 3, np.nan] + [5.0] * 32))
    split = grouped(images.manifest, by_group(images.manifest))
    with pytest.raises(UserError, match=said):
        run(split, images, baselines_of([], [column], frame_is_empty=True))


def test_a_number_counts_beside_many_features():
    """The label hangs on many of 400 columns and on a number: neither tells it alone."""
    generator = np.random.default_rng(3)
    columns, number = generator.normal(size=(2400, 400)), generator.normal(size=2400)
    signal = columns[:, :100].mean(axis=1) * 10 + number
    labels = (signal + generator.normal(scale=0.3, size=2400) > 0).astype(np.int64)
    train, test = np.arange(400), np.arange(400, 2400)
    part = training(labels[train], np.arange(400) // 2)

    def right(predict, seen):
        found = predict(seen[train], seen[test], part).probabilities
        return (found.argmax(axis=1) == labels[test]).mean()

    both = np.column_stack([columns, number])
    together = right(stacked(1), both)
    for alone in (columns, number[:, None], both):
        assert together > right(logistic, alone) + 0.02


def test_without_inner_folds_numbers_are_columns_like_others():
    part = training([0, 0, 1, 1], [0, 0, 1, 1])
    train, test = np.array([[0, 0.0], [0, 0.1], [1, 1.0], [1, 1.1]]), np.array([[1, 2.0]])
    np.testing.assert_array_equal(
        stacked(1)(train, test, part).probabilities, logistic(train, test, part).probabilities
    )


def test_entries_of_the_table_have_titles_of_their_own_and_see_a_row_an_image():
    images = dataset()
    entries = baselines_of(["small"], ["diameter_mm"], frame_is_empty=True)
    assert list(entries)[: len(BASELINES)] == list(BASELINES)
    assert len({one.title for one in entries.values()}) == len(entries)
    assert not entries["linear_probe_small"].blind and not entries["nearest_neighbour"].blind
    for one in entries.values():
        assert len(one.see(images)) == 36
