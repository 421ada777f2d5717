"""Links between images, and the groups that they make."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Integers = NDArray[np.intp]
Pairs = tuple[Integers, Integers]

_HELD = 1_000_000
"""Links that are held at a time: where everything is alike, there are as many as pairs."""


def components(n: int, links: Iterable[Pairs]) -> Integers:
    """Connected components of images under links.

    Args:
        n: Number of images.
        links: Blocks of row numbers `(first, second)`, each `(pairs,)`; any order, repeats allowed.

    Returns:
        `(n,)`: the component of each image, numbered from 0 by first appearance.
    """
    blocks: list[Pairs] = []
    held = 0
    for block in links:
        blocks.append(block)
        held += len(block[0])
        if held > _HELD:
            # As many links as rows say the same.
            codes = _connected(n, blocks)
            blocks, held = [(np.unique(codes, return_index=True)[1][codes], np.arange(n))], n
    return in_order(_connected(n, blocks))


def _connected(n: int, blocks: list[Pairs]) -> Integers:
    """The component of each row, `(n,)`, numbered from 0."""
    first = np.concatenate([np.empty(0, np.intp), *(block[0] for block in blocks)])
    second = np.concatenate([np.empty(0, np.intp), *(block[1] for block in blocks)])
    graph = coo_matrix((np.ones(len(first), dtype=np.int8), (first, second)), shape=(n, n))
    _, codes = connected_components(graph, directed=False)
    return np.asarray(codes, dtype=np.intp)


def in_order(codes: NDArray[Any]) -> Integers:
    """Renumbers groups from 0 by first appearance, so that names do not hang on how a group was found."""
    return np.asarray(pd.factorize(codes)[0], dtype=np.intp)


def equal_pairs(keys: NDArray[Any]) -> Pairs:
    """Links each row to the first row with an equal key, except the empty string, which means "not known".

    Args:
        keys: `(n,)`, for example SHA-256 digests or patients.

    Returns:
        Row numbers `(first, second)`, each `(pairs,)`.
    """
    codes, known = pd.factorize(keys)
    first_of = np.full(len(known), -1, dtype=np.intp)
    rows = np.arange(len(keys))
    first_of[codes[::-1]] = rows[::-1]
    named = np.asarray([key != "" for key in known], dtype=bool)[codes] & (first_of[codes] != rows)
    return first_of[codes][named], rows[named]


def names(codes: Integers, *, prefix: str) -> NDArray[np.object_]:
    """Names of groups: `prefix-0001` and so on, four digits or more, as they sort."""
    digits = max(4, len(str(int(codes.max(initial=0)) + 1)))
    return np.array([f"{prefix}-{code + 1:0{digits}d}" for code in codes], dtype=object)
