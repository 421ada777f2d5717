"""Source tiles of LC25000: which of its files are copies of one original picture of tissue.

Three passes link ever less. The first undoes the cropping rotations by which LC25000 was made: colours
propose, for each tile those most like it around the centre, of any class; registration decides. The second
takes one tile of each group so far and tries quarter turns, plain rotations and shifts, which other
augmentations use. The third looks for originals that overlap each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lung_attention.errors import UserError
from lung_attention.groups.discs import cropped_rotation
from lung_attention.groups.linking import Integers, Pairs, components, equal_pairs, names
from lung_attention.groups.overlap import overlapping_pairs
from lung_attention.groups.registration import MAX_ROTATION_DEG, cropped_scores, shifted_scores
from lung_attention.groups.settings import SourceTileGroups
from lung_attention.writing import scratch

_CHUNK = 256

_COLOUR_BINS = 6
"""Bins a channel: 216 colours."""

_COLOUR_WINDOW = 0.22
"""Standard deviation of the weight of a pixel, of the tile's side: a rotation that crops loses the margin."""

_DECIMALS = 9
"""Likenesses that agree to here are equal, since other processors round otherwise."""


def source_tiles(
    thumbnails: NDArray[np.uint8], sha256: NDArray[Any], *, settings: SourceTileGroups
) -> NDArray[np.object_]:
    """Groups tiles that were made from one original.

    The classes of the tiles are not asked for, so a tile under two labels is found. Takes about two
    minutes of one core for 15,000 tiles; what is larger than a block of rows lies in files.

    Args:
        thumbnails: `(n, 64, 64, 3)`, uint8, RGB, of square tiles.
        sha256: `(n,)`, digests of the files; identical files are always linked.
        settings: How many candidates, and what is alike enough.

    Returns:
        `(n,)` str: `tile-0001` and so on, numbered by first appearance.

    Raises:
        UserError: The thumbnails are not square RGB.
    """
    if thumbnails.ndim != 4 or thumbnails.shape[1] != thumbnails.shape[2] or thumbnails.shape[3] != 3:
        raise UserError(
            f"expected square RGB thumbnails (n, side, side, 3). Received: {thumbnails.shape}",
            remedy="dvc repro group",
        )
    n = len(thumbnails)
    # Thousands of small products: threads would spend their time waiting for each other.
    with threadpool_limits(limits=1, user_api="blas"):
        colours = colour_signatures(thumbnails)
        codes = components(n, [equal_pairs(sha256)])

        chosen = _first_of_each(codes)
        first, second = colour_candidates(colours[chosen], neighbours=settings.candidates)
        scores, *degrees = cropped_scores(_rows_of(thumbnails, chosen), first, second)
        alike = scores >= settings.correlation
        copies = chosen[first[alike]], chosen[second[alike]]
        turns = _turns(n, copies, (degrees[0][alike], degrees[1][alike]))
        turns = turns[chosen[codes]]  # a file is turned like the identical one that was compared
        codes = _joined(codes, copies)

        chosen = _first_of_each(codes)
        first, second = colour_candidates(colours[chosen], neighbours=settings.candidates)
        alike = shifted_scores(_rows_of(thumbnails, chosen), first, second) >= settings.correlation
        codes = _joined(codes, (chosen[first[alike]], chosen[second[alike]]))

        # The copy turned least shows most of its original.
        order = np.argsort(np.abs(turns), kind="stable")
        chosen = order[_first_of_each(codes[order])]
        first, second = overlapping_pairs(
            _rows_of(thumbnails, chosen),
            [cropped_rotation(float(turns[row])) for row in chosen],
            correlation=settings.overlap_correlation,
            least_overlap=settings.least_overlap,
        )
        codes = _joined(codes, (chosen[first], chosen[second]))
    return names(codes, prefix="tile")


def _rows_of(thumbnails: NDArray[np.uint8], rows: Integers) -> NDArray[np.uint8]:
    """Some of the thumbnails, copied without holding all of them in memory."""
    found = scratch((len(rows), *thumbnails.shape[1:]), np.uint8)
    for start in range(0, len(rows), _CHUNK):
        found[start : start + _CHUNK] = thumbnails[rows[start : start + _CHUNK]]
    return found


def _joined(codes: Integers, links: Pairs) -> Integers:
    """The groups `codes`, `(n,)`, with those joined that links between their members connect."""
    return components(len(codes), [(_first_of_each(codes)[codes], np.arange(len(codes))), links])


def _turns(n: int, pairs: Pairs, degrees: Pairs) -> Integers:
    """The rotation of each tile in degrees, `(n,)`: that found in most of its pairs, 0 where it has none."""
    votes = np.zeros((n, 2 * MAX_ROTATION_DEG + 1), dtype=np.intp)
    for rows, turns in zip(pairs, degrees, strict=True):
        np.add.at(votes, (rows, turns + MAX_ROTATION_DEG), 1)
    most = votes.argmax(axis=1) - MAX_ROTATION_DEG
    return np.where(votes.any(axis=1), most, 0)


def colour_signatures(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Colour histograms in which a dot product is the Bhattacharyya coefficient.

    On the real tiles each tile's copies are among its 200 nearest of 5,000 by this measure.

    Args:
        thumbnails: `(n, side, side, 3)`, uint8, RGB.

    Returns:
        `(n, 216)`, float64, rows of length 1, in a file (`scratch`): square roots of the shares of the
        colours, pixels near the centre weighing more.
    """
    side = thumbnails.shape[1]
    axis = (np.arange(side) - (side - 1) / 2) / side
    weights = np.exp(-np.add.outer(axis**2, axis**2) / (2 * _COLOUR_WINDOW**2)).ravel()
    steps = np.array([_COLOUR_BINS**2, _COLOUR_BINS, 1])
    found = scratch((len(thumbnails), _COLOUR_BINS**3), np.float64)
    for row, thumbnail in enumerate(thumbnails):
        colours = (thumbnail.reshape(-1, 3).astype(np.intp) * _COLOUR_BINS // 256) @ steps
        counts = np.bincount(colours, weights=weights, minlength=_COLOUR_BINS**3)
        found[row] = np.sqrt(counts / weights.sum())
    return found


def colour_candidates(signatures: NDArray[np.float64], *, neighbours: int) -> Pairs:
    """Pairs of which one is among the other's nearest in colour.

    Args:
        signatures: `(n, d)`, float64, rows of length 1.
        neighbours: Nearest rows taken of each row, of equally near ones the first.

    Returns:
        Row numbers `(first, second)`, each `(pairs,)`, first < second, sorted, each pair once.
    """
    n = len(signatures)
    count = min(neighbours, n - 1)
    keys = [np.empty(0, dtype=np.intp)]
    for start in range(0, n if count > 0 else 0, _CHUNK):
        likeness = signatures[start : start + _CHUNK] @ signatures.T
        rows = np.arange(start, start + len(likeness))
        likeness[np.arange(len(rows)), rows] = -1  # nobody is a candidate for himself
        likeness = likeness.round(_DECIMALS)
        last = np.partition(likeness, -count, axis=1)[:, [-count]]
        nearer, as_near = likeness > last, likeness == last
        # Of those as near as the last one the first rows are taken, on any machine.
        as_near &= as_near.cumsum(axis=1) <= count - nearer.sum(axis=1, keepdims=True)
        own, nearest = np.nonzero(nearer | as_near)
        own += start
        keys.append(np.minimum(own, nearest) * n + np.maximum(own, nearest))
    unique = np.unique(np.concatenate(keys))
    first, second = scratch((2, len(unique)), np.intp)
    np.divmod(unique, max(n, 1), out=(first, second))
    return first, second


def _first_of_each(codes: Integers) -> Integers:
    """The first row of each group, `(groups,)`, in the order of the groups' numbers."""
    return np.asarray(np.unique(codes, return_index=True)[1], dtype=np.intp)
