import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from lung_attention.evaluation.baselines import (
    BASELINES,
    histogram_forest,
    histograms,
    image_shape,
    majority,
    nearest_neighbour,
    run_baselines,
)
from lung_attention.images.similarity import unit_vectors

CLASSES = ("normal", "malignant", "benign")
OPTIONS = {"seed": 7, "trees": 10, "bins": 8}


def dataset(n=30, seed=0):
    """Noise whose brightness tells the class, rows in class order."""
    generator = np.random.default_rng(seed)
    codes = np.sort(generator.permutation(np.arange(n) % 3))
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
        }
    )
    return manifest, thumbnails


def test_majority_predicts_the_class_shares():
    probabilities = majority(np.array([0, 1, 1, 1]), 2, 3)
    np.testing.assert_allclose(probabilities, [[0.25, 0.75, 0], [0.25, 0.75, 0]])


def test_nearest_neighbour_by_hand():
    train = np.eye(3, dtype=np.float32)
    test = np.array([[0.6, 0.8, 0], [0, 0, 1]], dtype=np.float32)
    probabilities = nearest_neighbour(train, np.array([0, 0, 1]), test, 3)
    # One observation of the neighbour's class and one pseudo-observation of the shares (2/3, 1/3, 0).
    np.testing.assert_allclose(probabilities, [[5 / 6, 1 / 6, 0], [1 / 3, 2 / 3, 0]])


def test_nearest_neighbour_agrees_with_scikit_learn():
    generator = np.random.default_rng(1)
    thumbnails = generator.integers(0, 256, (900, 64, 64, 3), dtype=np.uint8)
    labels = generator.integers(0, 3, 200)
    vectors = unit_vectors(thumbnails)
    ours = nearest_neighbour(vectors[:200], labels, vectors[200:], 3).argmax(axis=1)
    peer = KNeighborsClassifier(1, metric="cosine", algorithm="brute").fit(vectors[:200], labels)
    np.testing.assert_array_equal(ours, peer.predict(vectors[200:]))


def test_histograms_by_hand():
    thumbnails = np.zeros((2, 64, 64, 3), dtype=np.uint8)
    thumbnails[0, :32] = (255, 128, 0)
    thumbnails[1] = (127, 127, 127)
    np.testing.assert_allclose(
        histograms(thumbnails, bins=2), [[0.5, 0.5, 0.5, 0.5, 1, 0], [1, 0, 1, 0, 1, 0]]
    )
    np.testing.assert_allclose(histograms(thumbnails[1:], bins=2), [[1, 0]])


def test_histogram_forest_learns_brightness_and_keeps_absent_classes_at_zero():
    train = np.array([[1, 0], [0, 1]] * 10, dtype=np.float32)
    probabilities = histogram_forest(train, np.array([0, 2] * 10), train[:2], 3, seed=0, trees=20)
    assert probabilities.argmax(axis=1).tolist() == [0, 2]
    assert (probabilities[:, 1] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


def test_image_shape_by_hand():
    train = np.array([[512, 512], [512, 512], [801, 512], [512, 512]])
    labels = np.array([0, 0, 1, 1])
    test = np.array([[801, 512], [512, 512], [9, 9]])
    # Counts of the size plus the shares (1/2, 1/2), made to sum to 1.
    np.testing.assert_allclose(
        image_shape(train, labels, test, 2), [[0.25, 0.75], [2.5 / 4, 1.5 / 4], [0.5, 0.5]]
    )


def test_a_published_split_is_predicted_from_its_training_part_alone():
    manifest, thumbnails = dataset()
    subset = np.array(["train", "validation", "test"] * 10)
    split = manifest[["image", "label", "group"]].assign(fold=0, subset=subset)
    table = run_baselines(split, manifest, thumbnails, CLASSES, **OPTIONS)
    assert list(table) == [
        "baseline", "image", "label", "group", "fold", "seed", "prediction",
        "probability_normal", "probability_malignant", "probability_benign",
    ]  # fmt: skip
    assert table["baseline"].unique().tolist() == list(BASELINES)
    tested = split[split["subset"] == "test"]
    for _, part in table.groupby("baseline"):
        assert part["image"].tolist() == tested["image"].tolist()
        assert part["label"].tolist() == tested["label"].tolist()
    assert set(table["seed"]) == {7} and set(table["fold"]) == {0}
    changed = thumbnails.copy()
    changed[subset == "validation"] = 0
    pd.testing.assert_frame_equal(table, run_baselines(split, manifest, changed, CLASSES, **OPTIONS))
    right = (table["label"] == table["prediction"]).groupby(table["baseline"]).mean()
    assert right["histogram_forest"] == 1
    shape = table[table["baseline"] == "image_shape"]  # malignant images alone are 300 pixels wide
    np.testing.assert_array_equal(shape["prediction"] == "malignant", shape["label"] == "malignant")


def test_a_grouped_split_is_predicted_out_of_fold():
    manifest, thumbnails = dataset()
    # An exact twin in the same fold must not be found, one in another fold must.
    thumbnails[1], thumbnails[11] = thumbnails[0], thumbnails[20]
    folds = np.arange(30) % 3
    folds[1] = folds[0]
    split = manifest[["image", "label", "group"]].assign(fold=folds, subset="cross_validation")
    table = run_baselines(split, manifest, thumbnails, CLASSES, **OPTIONS)
    for _, part in table.groupby("baseline"):
        assert part["image"].tolist() == manifest["image"].tolist()
        assert part["fold"].tolist() == folds.tolist()
        np.testing.assert_allclose(part.filter(like="probability_").sum(axis=1), 1, atol=1e-9)
        names = part.filter(like="probability_").idxmax(axis=1).str.removeprefix("probability_")
        assert part["prediction"].tolist() == names.tolist()
    neighbour = table[table["baseline"] == "nearest_neighbour"].set_index("image")["prediction"]
    assert folds[11] == folds[20]
    vectors = unit_vectors(thumbnails)
    for row in range(30):
        others = np.flatnonzero(folds != folds[row])
        best = others[(vectors[others] @ vectors[row]).argmax()]
        assert neighbour[f"{row}.png"] == manifest["label"][best]


def test_the_seed_decides():
    manifest, thumbnails = dataset()
    thumbnails = np.random.default_rng(5).integers(0, 256, thumbnails.shape, dtype=np.uint8)
    split = manifest[["image", "label", "group"]].assign(fold=np.arange(30) % 2, subset="cross_validation")
    tables = [
        run_baselines(split, manifest, thumbnails, CLASSES, seed=seed, trees=10, bins=8) for seed in (1, 1, 2)
    ]
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].drop(columns="seed").equals(tables[2].drop(columns="seed"))
