"""Whether numbers tell a class beyond chance: a linear probe against labels that are permuted over groups.

Under the null hypothesis the numbers have nothing to do with the class, whatever the images of a group share.
Then groups may exchange their labels. Labels are exchanged between groups of about the same size only (within
a factor of two), since one class may have larger groups than another; a group whose images carry several
classes hands on its mixture. Folds are drawn without a look at the labels, and every permutation refits every
fold, so that labels as observed and as permuted are treated alike: p = (1 + number of permutations at least
as good) / (1 + permutations) is valid for any number of permutations (Phipson, Smyth: "Permutation p-values
should never be zero", 2010). Only exchanges between groups of unequal sizes leave an approximation, since a
label is then repeated more often or less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from lung_attention.audit.settings import ShortcutTest

_AT_ONCE = 100
"""Permutations fitted at once: of 15,000 images of three classes the targets take 36 MB."""

_PENALTY = 0.1
"""Of the ridge regression, for each training image; columns are standardised."""

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Rounds = list[tuple[NDArray[np.intp], NDArray[np.intp]]]


@dataclass(frozen=True)
class Outcome:
    """What a probe reaches out of fold, and what it reaches by chance.

    Attributes:
        scores: accuracy, balanced_accuracy and auroc (mean of class against rest, of pairs of images tested
            in one fold: scores of two fits are not comparable where they differ by little), in 0..1.
        by_chance: Their means over permuted labels.
        p: Share of permutations, the observed labels among them, with at least this AUROC.
    """

    scores: dict[str, float]
    by_chance: dict[str, float]
    p: float


def permutation_test(
    seen: NDArray[np.floating], labels: Integers, clusters: Integers, test: ShortcutTest
) -> Outcome:
    """Tests whether a linear probe tells the class from what is seen of each image.

    The probe is a ridge regression on the classes' indicators. It is linear in the labels, so all
    permutations of a fold are fitted as targets of one regression.

    Args:
        seen: `(n, d)`, float.
        labels: `(n,)`, in [0, classes), at least two classes.
        clusters: `(n,)`, from 0, equal within a group; at least two groups.
        test: Folds, permutations and seed.

    Returns:
        Scores, those by chance, and p.
    """
    n_classes = int(labels.max()) + 1
    # Two groups a fold, where there are as many: in one of a single class nothing can be told apart.
    folds = max(2, min(test.folds, len(np.unique(clusters)) // 2))
    splitter = GroupKFold(folds, shuffle=True, random_state=test.seed)
    rounds = list(splitter.split(seen, groups=clusters))
    random = np.random.default_rng(test.seed)
    drawn = [permuted(labels, clusters, random) for _ in range(test.permutations)]
    everything = np.stack([labels, *drawn])
    with threadpool_limits(1):  # products of this size take longer where threads wait for each other
        parts = [
            _scores(seen, part, n_classes, rounds)
            for part in np.split(everything, range(_AT_ONCE, len(everything), _AT_ONCE))
        ]
    scores = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    # Equal scores must not differ by the rounding of another matrix product.
    auroc = np.round(scores["auroc"], 9)
    return Outcome(
        scores={name: float(values[0]) for name, values in scores.items()},
        by_chance={name: float(values[1:].mean()) for name, values in scores.items()},
        p=float((auroc >= auroc[0]).mean()),
    )


def permuted(labels: Integers, clusters: Integers, random: np.random.Generator) -> Integers:
    """Labels exchanged between groups of about the same size.

    Args:
        labels: `(n,)`.
        clusters: `(n,)`, from 0 without gaps.
        random: Where chance comes from.

    Returns:
        `(n,)`, the labels of another group (or the same one) in random order, repeated or cut to the number
        of images.
    """
    sizes = np.bincount(clusters)
    starts = np.cumsum(sizes) - sizes
    strata = np.floor(np.log2(sizes)).astype(np.int64)
    source = np.empty(len(sizes), dtype=np.int64)
    source[np.argsort(strata, kind="stable")] = np.lexsort((random.random(len(sizes)), strata))
    rows = np.argsort(clusters, kind="stable")
    place = np.arange(len(labels)) - starts[clusters[rows]]
    shuffled = labels[np.lexsort((random.random(len(labels)), clusters))]
    giver = source[clusters[rows]]
    result = np.empty_like(labels)
    result[rows] = shuffled[starts[giver] + place % sizes[giver]]
    return result


def _scores(
    seen: NDArray[np.floating], labels: Integers, n_classes: int, rounds: Rounds
) -> dict[str, Floats]:
    """Out-of-fold scores of the probe, each `(b,)`, for `(b, n)` labels."""
    targets = np.eye(n_classes)[labels.T].reshape(labels.shape[1], -1)
    hits, images, above, pairs = np.zeros((4, len(labels), n_classes))
    for train, test in rounds:
        probe = make_pipeline(StandardScaler(), Ridge(alpha=_PENALTY * len(train)))
        found = probe.fit(seen[train], targets[train]).predict(seen[test])
        found = found.reshape(len(test), len(labels), n_classes)
        tested = labels[:, test].T
        right = found.argmax(axis=2) == tested
        for code in range(n_classes):
            own = tested == code
            number = own.sum(axis=0)
            hits[:, code] += (right & own).sum(axis=0)
            images[:, code] += number
            # Mann and Whitney's U: pairs of images of a fold that stand in the right order, ties half.
            ranks = rankdata(found[:, :, code], axis=0)
            above[:, code] += (ranks * own).sum(axis=0) - number * (number + 1) / 2
            pairs[:, code] += number * (len(test) - number)
    return {
        "accuracy": hits.sum(axis=1) / images.sum(axis=1),
        "balanced_accuracy": _mean_share(hits, images),
        "auroc": _mean_share(above, pairs, nothing=0.5),
    }


def _mean_share(parts: Floats, wholes: Floats, *, nothing: float = np.nan) -> Floats:
    """Means of shares over classes, `(b,)`, of `(b, classes)`.

    A class without images or pairs does not count: it may have been permuted away, or stand in folds of its
    own. Where that is so of all classes, the mean is `nothing`; a NaN would compare as no better than any
    score, and so make p too small.
    """
    shares = np.divide(parts, wholes, out=np.zeros_like(parts), where=wholes > 0)
    counted = (wholes > 0).sum(axis=1)
    return np.where(counted > 0, shares.sum(axis=1) / np.maximum(counted, 1), nothing)
