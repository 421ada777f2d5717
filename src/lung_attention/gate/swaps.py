"""Permutation tests: could candidate and reference be two trainings of the same code?

If nothing but chance tells candidate from reference, their predictions may be swapped in any cluster and any
pair of seeds: valid for a handful of changed images, where percentiles of a bootstrap are not. A training's
luck as a whole (`chance.Luck`) is added to every draw. Four scores are no four chances of a false alarm,
since the worst of the standardised gains is compared with the worst of each draw.

Cells of one dataset share images. What is hard about an image, or a change that reaches all of them, moves
their scores together; so the same clusters are swapped in all cells of a dataset at once, and the pooled test
over many cells knows how far they move together.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lung_attention.evaluation.predictions import cluster_codes
from lung_attention.evaluation.weighted import Floats, Integers, confusion_scores
from lung_attention.gate.chance import Chance, Luck
from lung_attention.gate.contributions import cluster_confusions, cluster_sums, image_gains
from lung_attention.gate.pairing import Pair
from lung_attention.gate.scores import DECIDING

_ROUNDING = 1e-9
_SIGNS_AT_ONCE = 1 << 22  # 32 MB of float64


def null_gains(
    pairs: Mapping[str, Pair], luck: Mapping[str, Luck], *, dataset: str, chance: Chance
) -> dict[str, Floats]:  # fmt: skip
    """The gains that chance alone would give to the cells of one dataset.

    Args:
        pairs: Candidate and reference of each cell; clusters of one name are the same in all of them.
        luck: Of one training of each cell.
        dataset: Its name, from which with the seed and the clusters the random numbers come.
        chance: How many swaps, and their seed.

    Returns:
        Of each cell `(4, resamples)`, in the order of `DECIDING`.
    """
    clusters = _common_clusters(list(pairs.values()))
    n_clusters = 1 + max(int(codes.max()) for codes in clusters)
    slots = max(len(pair.candidate.seeds) for pair in pairs.values())
    swapped = {
        name: _Swapped(pair, codes, n_clusters)
        for (name, pair), codes in zip(pairs.items(), clusters, strict=True)
    }
    parts: dict[str, list[Floats]] = {name: [] for name in pairs}
    for signs in _signs(slots, n_clusters, dataset, chance):
        for name, cell in swapped.items():
            parts[name].append(cell(signs))
    drawn = {}
    for name, pair in pairs.items():
        random = np.random.default_rng([chance.seed, zlib.crc32(name.encode())])
        drawn[name] = np.concatenate(parts[name], axis=1) + luck[name].draws(
            classes=len(pair.candidate.classes), seeds=len(pair.candidate.seeds),
            resamples=chance.resamples, random=random,
        )  # fmt: skip
    return drawn


def worst_p_value(seen: Floats, counted: NDArray[np.bool_], drawn: Floats) -> float:
    """Share of draws whose worst score is at least as bad as the worst that was seen.

    Args:
        seen: `(4,)` gains.
        counted: `(4,)` bool, the scores that may speak for a loss. Each draw is represented by the worst of
            all four, so that leaving some out cannot make a p value too small.
        drawn: `(4, draws)` gains by chance.

    Returns:
        One-sided p value, at least 1 / (draws + 1); 1 where no score counts.
    """
    spread = drawn.std(axis=1)
    moves = spread > 0
    if not (counted & moves).any():
        return 1.0
    worst = (drawn[moves] / spread[moves, None]).min(axis=0)
    of_seen = float((seen[counted & moves] / spread[counted & moves]).min())
    return float((1 + (worst <= of_seen + _ROUNDING).sum()) / (drawn.shape[1] + 1))


def pooled(seen: Sequence[Floats], drawn: Sequence[Floats]) -> tuple[Floats, Floats]:
    """Sums over cells of the standardised gains, each cell with the same weight.

    Args:
        seen: Of each cell `(4,)` gains.
        drawn: Of each cell `(4, draws)` gains by chance, drawn jointly.

    Returns:
        `(4,)` and `(4, draws)`, for `worst_p_value`.
    """
    total, totals = np.zeros(len(DECIDING)), np.zeros_like(drawn[0])
    for gain, by_chance in zip(seen, drawn, strict=True):
        spread = by_chance.std(axis=1)
        moves = spread > 0
        total[moves] += gain[moves] / spread[moves]
        totals[moves] += by_chance[moves] / spread[moves, None]
    return total, totals


class _Swapped:
    """The gains of one cell for any signs of its clusters.

    Args:
        pair: `s` pairs of seeds.
        codes: `(n,)` int, the cluster of each image.
        n_clusters: Number of clusters, of which some may have no image here.
    """

    def __init__(self, pair: Pair, codes: Integers, n_clusters: int) -> None:
        sums = {
            name: cluster_sums(values, codes, n_clusters) for name, values in image_gains(pair).items()
        }  # fmt: skip
        ours, theirs = (
            cluster_confusions(side, codes, n_clusters) for side in (pair.candidate, pair.reference)
        )  # fmt: skip
        self._classes = len(pair.candidate.classes)
        self._middle = (ours + theirs).sum(axis=2) / 2
        self._rows: list[tuple[Integers, Floats]] = []
        for seed in range(len(pair.candidate.seeds)):
            rows = np.concatenate(
                [np.stack([values[seed] for values in sums.values()]), (ours[seed] - theirs[seed]) / 2]
            )
            moving = np.flatnonzero(rows.any(axis=0))
            self._rows.append((moving, rows[:, moving]))
        self._summed = list(sums)

    def __call__(self, signs: Floats) -> Floats:
        """`(4, b)` gains for signs `(seeds or more, n_clusters, b)`."""
        c, total = self._classes, np.zeros((len(DECIDING), signs.shape[2]))
        for seed, (moving, rows) in enumerate(self._rows):
            moved = rows @ signs[seed, moving]
            of_score = dict(zip(self._summed, moved, strict=False))
            counts = moved[len(self._summed) :]
            if counts.any():
                middle = self._middle[seed][:, None]
                better, worse = (
                    confusion_scores(confusion.reshape(c, c, -1))["mcc"]
                    for confusion in (middle + counts, middle - counts)
                )
                of_score["mcc"] = better - worse
            for k, name in enumerate(DECIDING):
                if name in of_score:
                    total[k] += of_score[name]
        return total / len(self._rows)


def _common_clusters(pairs: Sequence[Pair]) -> list[Integers]:
    """Of each cell the cluster of each image, numbered alike in all cells."""
    sides = [pair.candidate for pair in pairs]
    codes, _ = cluster_codes(
        np.concatenate([side.images for side in sides]), np.concatenate([side.groups for side in sides])
    )
    ends = np.cumsum([len(side.images) for side in sides])
    return np.split(codes, ends[:-1])


def _signs(slots: int, n_clusters: int, dataset: str, chance: Chance) -> Iterator[Floats]:
    """`(slots, n_clusters, b)` of −1 and 1 with equal chances; the `b` together make the resamples."""
    random = np.random.default_rng([chance.seed, zlib.crc32(dataset.encode())])
    width = max(1, min(chance.resamples, _SIGNS_AT_ONCE // (slots * n_clusters)))
    for start in range(0, chance.resamples, width):
        # Draw by draw, so that the width leaves no trace in the numbers.
        drawn = random.random((min(width, chance.resamples - start), slots, n_clusters))
        yield np.ascontiguousarray(np.where(drawn < 0.5, -1.0, 1.0).transpose(1, 2, 0))
