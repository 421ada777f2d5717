"""Shortcuts: what gives the class away without a look inside the image.

`find_shortcuts` returns a JSON object:

    groups              int, what exchanges labels: groups, and images without one
    groups_known        bool; where no group is known, images of one patient count as independent, which makes
                        p too small
    permutations        int
    alpha               float, chance of a false alarm, of all probes together
    nothing_to_see      [name, …], probes for which all images are alike; they are not tested
    probes              {name: {"title": str,
                        "accuracy", "balanced_accuracy", "auroc": float, out of fold,
                        "by_chance": {the same three: float}, means over permuted labels,
                        "p": float, "p_holm": float (adjusted for the number of probes),
                        "found": bool, p_holm <= alpha}}

Scores are those of a quick linear probe; what a stronger classifier makes of the same, baselines say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lung_attention.audit.leaks import Json
from lung_attention.audit.permutation import permutation_test
from lung_attention.audit.settings import ShortcutTest
from lung_attention.evaluation.multiplicity import holm
from lung_attention.images.regions import backgrounds, frame, histograms, value_counts

_BINS = 128
_FREQUENT = 32
"""Values of a property that get a column of their own, the most frequent ones."""


@dataclass(frozen=True)
class Files:
    """What probes look at, rows as in the manifest.

    Attributes:
        sizes: `(n, 2)`, width and height in pixels.
        encodings: `(n,)` strings, see `images.encoding`.
        thumbnails: `(n, 64, 64, 3)`, uint8, RGB.
    """

    sizes: NDArray[np.int64]
    encodings: NDArray[np.object_]
    thumbnails: NDArray[np.uint8]


def _image_size(files: Files) -> NDArray[np.float64]:
    widths, heights = files.sizes.T
    names = [f"{width}x{height}" for width, height in files.sizes.tolist()]
    return np.column_stack([np.log(widths), np.log(heights), _indicators(names)])


def _encoding(files: Files) -> NDArray[np.float64]:
    return _indicators(files.encodings)


def _border(files: Files) -> NDArray[np.float64]:
    return _roots(value_counts(files.thumbnails, frame(files.thumbnails.shape[1:3])))


def _background(files: Files) -> NDArray[np.float64]:
    masks = backgrounds(files.thumbnails)
    return np.column_stack([_roots(value_counts(files.thumbnails, masks)), masks.mean(axis=(1, 2))])


PROBES: dict[str, tuple[str, Callable[[Files], NDArray[np.float64]]]] = {
    "image_size": ("width and height", _image_size),
    "encoding": ("encoding of the file", _encoding),
    "border": ("outermost pixels", _border),
    "background": ("background", _background),
}
"""Probes by name: the title for people, and what is seen of each image, `(n, d)`."""


def find_shortcuts(files: Files, labels: ArrayLike, groups: ArrayLike, test: ShortcutTest) -> Json:
    """Tests what gives the class away without a look inside the image.

    Args:
        files: What probes look at.
        labels: `(n,)` class names.
        groups: `(n,)` strings, empty where unknown.
        test: Folds, permutations, alpha and seed.

    Returns:
        The JSON object that the module describes. No probe is tested where there are fewer than two classes
        or two groups.
    """
    codes = pd.factorize(np.asarray(labels, dtype=object))[0].astype(np.int64)
    names = np.asarray(groups, dtype=object)
    alone = np.arange(len(names)).astype(object)
    clusters = pd.factorize(np.where(names == "", alone, names))[0].astype(np.int64)
    testable = min(len(np.unique(codes)), len(np.unique(clusters))) > 1
    found: Json = {
        "groups": len(np.unique(clusters)),
        "groups_known": bool((names != "").any()),
        "permutations": test.permutations,
        "alpha": test.alpha,
        "nothing_to_see": [],
        "probes": {},
    }
    for name, (title, see) in PROBES.items() if testable else ():
        seen = see(files)
        if not np.ptp(seen, axis=0).any():
            found["nothing_to_see"].append(name)
            continue
        outcome = permutation_test(seen, codes, clusters, test)
        found["probes"][name] = {
            "title": title, **outcome.scores, "by_chance": outcome.by_chance, "p": outcome.p
        }  # fmt: skip
    if found["probes"]:
        p = [probe["p"] for probe in found["probes"].values()]
        for probe, p_holm in zip(found["probes"].values(), holm(p), strict=True):
            probe |= {"p_holm": p_holm, "found": p_holm <= test.alpha}
    return found


def _indicators(values: ArrayLike) -> NDArray[np.float64]:
    """`(n, k)`: a column of 0 and 1 for each of the most frequent values, whatever the labels."""
    counts = pd.Series(values).value_counts()
    frequent = counts.sort_index().nlargest(_FREQUENT).index
    return np.column_stack([(np.asarray(values, dtype=object) == value) for value in frequent]).astype(float)


def _roots(counts: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Square roots of histograms, in which rare values count for more (Hellinger's distance)."""
    return np.sqrt(histograms(counts, bins=_BINS)).astype(np.float64)
