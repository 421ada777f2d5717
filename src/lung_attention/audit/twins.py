"""Pairs of images that are the same or look the same, one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, islice, product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lung_attention.images.similarity import near_pairs, unit_vectors

_DISPUTED = 10
"""Pairs of one picture in two classes that are shown; the JSON object has all."""

COLUMNS = ("image", "subset", "twin", "twin_subset", "cosine", "identical")


def twins(
    images: Sequence[str],
    subsets: Sequence[str],
    hashes: Sequence[str],
    thumbnails: NDArray[np.uint8],
    *,
    cosine: float,
) -> pd.DataFrame:
    """Lists all pairs, across subsets and within one.

    Args:
        images: Names, `n` of them.
        subsets: The subset of each.
        hashes: Of their bytes.
        thumbnails: `(n, 64, 64, 3)` uint8.
        cosine: Pairs of thumbnails this alike count.

    Returns:
        A row a pair with the columns of `COLUMNS`, those across subsets first, and of them the most alike;
        `cosine` is None where an image is blank, so that only its bytes tell.
    """
    sides, files = np.asarray(subsets, dtype=object), pd.factorize(np.asarray(hashes, dtype=object))[0]
    vectors = unit_vectors(thumbnails)
    parts = [np.stack(pair, axis=1) for pair in near_pairs(vectors, cosine=cosine)]
    parts += [_within(np.flatnonzero(files == code)) for code in np.flatnonzero(np.bincount(files) > 1)]
    pairs = np.unique(np.concatenate(parts or [np.empty((0, 2), dtype=np.intp)]), axis=0)
    first, second = pairs.T
    alike = np.einsum("nd,nd->n", vectors[first], vectors[second]).clip(-1, 1)
    blank = ~vectors[first].any(axis=1) | ~vectors[second].any(axis=1)
    names = np.asarray(images, dtype=object)
    table = pd.DataFrame(
        {
            "image": names[first],
            "subset": sides[first],
            "twin": names[second],
            "twin_subset": sides[second],
            "cosine": np.where(blank, np.nan, alike.round(4)),
            "identical": files[first] == files[second],
        }
    )
    ordered = table.assign(across=sides[first] != sides[second]).sort_values(
        ["across", "identical", "cosine"], ascending=False, kind="stable", ignore_index=True
    )
    return ordered[list(COLUMNS)]


def _within(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """All pairs of some rows, the smaller number first."""
    first, second = np.triu_indices(len(rows), k=1)
    return np.stack([rows[first], rows[second]], axis=1)


def twins_text(table: pd.DataFrame, *, listed: int) -> str:
    """The most alike pairs as Markdown; nothing where there are none."""
    if table.empty:
        return ""
    lines = ["", "| image | in | twin | in | cosine | |", "|---|---|---|---|--:|---|"]
    for row in table.head(listed).to_dict("records"):
        alike = "–" if pd.isna(row["cosine"]) else f"{row['cosine']:.4f}"
        cells = [*(row[name] or "–" for name in COLUMNS[:4]), alike, "same bytes" if row["identical"] else ""]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    if (more := len(table) - listed) > 0:
        lines += ["", f"and {more:,} more pairs (all of them: --json FILE)"]
    return "\n".join(lines) + "\n"


def disputed_text(sets: Sequence[Mapping[str, Sequence[str]]]) -> str:
    """Pairs of images that show one picture in two classes, as Markdown; nothing where there are none.

    Args:
        sets: For each picture its images, by class.
    """
    by_class = [pair for one in sets for pair in combinations(one.items(), 2)]
    if not by_class:
        return ""
    rows = (
        f"| {first} | {label} | {second} | {other} |"
        for (label, images), (other, others) in by_class
        for first, second in product(images, others)
    )
    total = sum(len(images) * len(others) for (_, images), (_, others) in by_class)
    lines = ["", "| image | class | same picture | class |", "|---|---|---|---|", *islice(rows, _DISPUTED)]
    if (more := total - _DISPUTED) > 0:
        lines += ["", f"and {more:,} more pairs (all of them: --json FILE, under contradictory)"]
    return "\n".join(lines) + "\n"
