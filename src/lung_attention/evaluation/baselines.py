"""Trivial baselines: what a split gives to somebody who learns nothing about the disease.

A network's figure says little where one of these comes near it: the class priors alone, the most alike
thumbnail, a histogram of values, or the size of the image file.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from lung_attention.images.similarity import nearest, unit_vectors
from lung_attention.splits.alignment import check_split
from lung_attention.splits.protocol import folds

BASELINES = ("majority", "nearest_neighbour", "histogram_forest", "image_shape")


def run_baselines(
    split: pd.DataFrame,
    manifest: pd.DataFrame,
    thumbnails: NDArray[np.uint8],
    classes: tuple[str, ...],
    *,
    seed: int,
    trees: int,
    bins: int,
) -> pd.DataFrame:
    """Predicts the test images of a split with every baseline.

    Validation images are not used: a baseline has nothing to select, and adding them to the training images
    would give it more than the networks are trained on.

    Args:
        split: A split table, rows as in the manifest. Published: training images predict test images.
            Grouped: each fold is predicted from all others, so that every image is predicted once.
        manifest: A row an image; image,label,width,height are used.
        thumbnails: `(n, 64, 64, 3)`, uint8, RGB, rows as in the manifest.
        classes: Class names in label order.
        seed: Of the random forest.
        trees: Number of its trees.
        bins: Bins of a channel's histogram.

    Returns:
        baseline,image,label,group,fold,seed,prediction,probability_<class>…, by baseline, then as in the
        manifest. Probabilities can be exactly 0.

    Raises:
        UserError: The split does not name the manifest's images, or has unknown subsets.
    """
    check_split(split, manifest)
    labels = np.array([classes.index(label) for label in manifest["label"]], dtype=np.int64)
    vectors = unit_vectors(thumbnails)
    counts = histograms(thumbnails, bins=bins)
    sizes = manifest[["width", "height"]].to_numpy(np.int64)
    n_classes = len(classes)
    predicted: dict[str, list[NDArray[np.float64]]] = {name: [] for name in BASELINES}
    tested, numbers = [], []
    for fold in folds(split):
        train, test = fold.train, fold.test
        known = labels[train]
        tested.append(test)
        numbers.append(np.full(len(test), fold.number))
        predicted["majority"].append(majority(known, len(test), n_classes))
        predicted["nearest_neighbour"].append(
            nearest_neighbour(vectors[train], known, vectors[test], n_classes)
        )
        predicted["histogram_forest"].append(
            histogram_forest(counts[train], known, counts[test], n_classes, seed=seed, trees=trees)
        )
        predicted["image_shape"].append(image_shape(sizes[train], known, sizes[test], n_classes))
    rows = np.concatenate(tested)
    order = np.argsort(rows, kind="stable")
    images = split[["image", "label", "group"]].iloc[rows[order]].reset_index(drop=True)
    images["fold"] = np.concatenate(numbers)[order]
    images["seed"] = seed
    return pd.concat(
        [_table(name, images, np.concatenate(predicted[name])[order], classes) for name in BASELINES],
        ignore_index=True,
    )


def _table(
    name: str, images: pd.DataFrame, probabilities: NDArray[np.float64], classes: tuple[str, ...]
) -> pd.DataFrame:
    table = images.copy()
    table.insert(0, "baseline", name)
    table["prediction"] = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    for code, label in enumerate(classes):
        table[f"probability_{label}"] = probabilities[:, code]
    return table


def priors(labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Share of each class, `(n_classes,)`, from labels in [0, n_classes)."""
    return np.bincount(labels, minlength=n_classes) / len(labels)


def majority(labels: NDArray[np.int64], n_test: int, n_classes: int) -> NDArray[np.float64]:
    """Gives every test image the class shares of the training images.

    Args:
        labels: `(n_train,)`, in [0, n_classes).
        n_test: Number of test images.
        n_classes: Number of classes.

    Returns:
        `(n_test, n_classes)` probabilities; the most probable class is the majority class.
    """
    return np.tile(priors(labels, n_classes), (n_test, 1))


def nearest_neighbour(
    train: NDArray[np.float32], labels: NDArray[np.int64], test: NDArray[np.float32], n_classes: int
) -> NDArray[np.float64]:
    """Gives every test image the class of the training image that looks most like it.

    Args:
        train: `(n_train, d)`, float32, cluster vectors (see `lung_attention.images.similarity.unit_vectors`).
        labels: `(n_train,)`, in [0, n_classes).
        test: `(n_test, d)`, float32, cluster vectors.
        n_classes: Number of classes.

    Returns:
        `(n_test, n_classes)` probabilities. One neighbour is one observation; it is averaged with one
        pseudo-observation that has the class shares of the training images, so that a wrong answer has a
        finite log loss. The neighbour's class stays the most probable one.
    """
    observed = np.eye(n_classes)[labels[nearest(test, train)]]
    return np.asarray((observed + priors(labels, n_classes)) / 2)


def histograms(thumbnails: NDArray[np.uint8], *, bins: int) -> NDArray[np.float32]:
    """Shares of the values of each channel in equal bins of 0 to 255.

    Args:
        thumbnails: `(n, rows, cols, 3)`, uint8, RGB.
        bins: Bins of a channel, 1 to 256.

    Returns:
        `(n, 3 * bins)`, float32, each channel's bins summing to 1; `(n, bins)` where all images are grey.
    """
    is_grey = bool((thumbnails == thumbnails[..., :1]).all())
    channels = 1 if is_grey else 3
    n, pixels = len(thumbnails), thumbnails.shape[1] * thumbnails.shape[2]
    shares = np.empty((n, channels * bins), dtype=np.float32)
    offsets = np.arange(channels) * bins
    for row, thumbnail in enumerate(thumbnails):
        values = thumbnail.reshape(pixels, 3)[:, :channels].astype(np.intp) * bins // 256 + offsets
        shares[row] = np.bincount(values.ravel(), minlength=channels * bins) / pixels
    return shares


def histogram_forest(
    train: NDArray[np.float32],
    labels: NDArray[np.int64],
    test: NDArray[np.float32],
    n_classes: int,
    *,
    seed: int,
    trees: int,
) -> NDArray[np.float64]:
    """Predicts from histograms with a random forest: brightness and colour, but no position.

    Args:
        train: `(n_train, d)`, float32, histograms.
        labels: `(n_train,)`, in [0, n_classes).
        test: `(n_test, d)`, float32, histograms.
        n_classes: Number of classes.
        seed: Of the forest.
        trees: Number of trees.

    Returns:
        `(n_test, n_classes)` probabilities, the mean of the trees' leaves; 0 where no tree has the class.
    """
    forest = RandomForestClassifier(n_estimators=trees, random_state=seed).fit(train, labels)
    probabilities = np.zeros((len(test), n_classes))
    probabilities[:, forest.classes_] = forest.predict_proba(test)
    return probabilities


def image_shape(
    train: NDArray[np.int64], labels: NDArray[np.int64], test: NDArray[np.int64], n_classes: int
) -> NDArray[np.float64]:
    """Predicts from the width and height of the image file alone.

    Args:
        train: `(n_train, 2)`, width and height in pixels.
        labels: `(n_train,)`, in [0, n_classes).
        test: `(n_test, 2)`, width and height in pixels.
        n_classes: Number of classes.

    Returns:
        `(n_test, n_classes)` probabilities: class shares of the training images of the same size, with one
        pseudo-observation that has the class shares of all; these alone for a size that training lacks.
    """
    sizes, codes = np.unique(np.concatenate([train, test]), axis=0, return_inverse=True)
    codes = codes.reshape(-1)
    counts = np.zeros((len(sizes), n_classes))
    np.add.at(counts, (codes[: len(train)], labels), 1)
    smoothed = counts + priors(labels, n_classes)
    return np.asarray((smoothed / smoothed.sum(axis=1, keepdims=True))[codes[len(train) :]])
