"""Pseudo-groups: what stands in for the patient where an archive names none.

Slices of one scan look alike and lie beside each other in the archive, so near-duplicates and neighbours are
held together. The result is *not* a set of patients: scans of different people can share a pseudo-group and
slices of one scan can lie in several. It bounds leakage from below and is called a pseudo-group everywhere.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lung_attention.groups.linking import Pairs, components, equal_pairs, names
from lung_attention.groups.settings import NearDuplicateGroups
from lung_attention.images.similarity import cosines, near_pairs, unit_vectors


def pseudo_groups(
    thumbnails: NDArray[np.uint8],
    sha256: NDArray[Any],
    file_numbers: NDArray[np.intp],
    labels: NDArray[Any],
    *,
    settings: NearDuplicateGroups,
) -> NDArray[np.object_]:
    """Groups images by likeness: connected components of linked images.

    Args:
        thumbnails: `(n, rows, cols, 3)`, uint8, RGB. Compared as `similarity.unit_vectors`: grey,
            mean-centred, of length 1.
        sha256: `(n,)`, digests of the files; identical files are always linked.
        file_numbers: `(n,)`, the running number in each file's name; negative where it has none.
        labels: `(n,)`, the class of each image.
        settings: Strictness and thresholds.

    Returns:
        `(n,)` str: `pseudo-0001` and so on, numbered by first appearance.
    """
    vectors = unit_vectors(thumbnails)
    links = [equal_pairs(sha256)]
    if settings.strictness == "thumbnails_and_neighbours":
        first, second = neighbours(file_numbers, labels)
        alike = cosines(vectors, first, second) >= settings.neighbour_cosine
        links.append((first[alike], second[alike]))
    near = near_pairs(vectors, cosine=min(settings.cosine, settings.near_duplicate_cosine))
    return names(components(len(vectors), chain(links, near)), prefix="pseudo")


def neighbours(file_numbers: NDArray[np.intp], labels: NDArray[Any]) -> Pairs:
    """Finds the images of one class whose file numbers differ by 1.

    Args:
        file_numbers: `(n,)`; negative where a file has no number, and then it has no neighbours.
        labels: `(n,)`.

    Returns:
        Row numbers `(first, second)`, each `(pairs,)`: the second file is the one that follows.
    """
    table = pd.DataFrame({"number": file_numbers, "label": labels, "row": np.arange(len(labels))})
    table = table[table["number"] >= 0]
    following = table.assign(number=table["number"] - 1)
    pairs = table.merge(following, on=["number", "label"], suffixes=("", "_next"))
    return pairs["row"].to_numpy(dtype=np.intp), pairs["row_next"].to_numpy(dtype=np.intp)
