"""Groups: which images must stand on the same side of a split."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lung_attention.errors import UserError
from lung_attention.groups.linking import components, equal_pairs, names
from lung_attention.groups.near_duplicates import pseudo_groups
from lung_attention.groups.settings import FileBlocks, Grouping, NearDuplicateGroups, SourceTileGroups
from lung_attention.groups.source_tiles import source_tiles
from lung_attention.images.similarity import near_pairs, unit_vectors

_LAST_NUMBER = re.compile(r"(\d+)\D*$")


def infer_groups(manifest: pd.DataFrame, thumbnails: NDArray[np.uint8], grouping: Grouping) -> pd.Series[str]:
    """Finds the groups of a dataset by the means that its file names.

    Identical files share a group by any of them.

    Args:
        manifest: A row an image, with the columns image, label, sha256 and group.
        thumbnails: `(n, 64, 64, 3)`, uint8, RGB, rows as in the manifest.
        grouping: How groups are found.

    Returns:
        The group of each image, named "group", with the manifest's index; none is empty.

    Raises:
        UserError: There is not one thumbnail an image, or no image has a patient where groups are patients.
    """
    if len(thumbnails) != len(manifest):
        raise UserError(
            f"the manifest has {len(manifest)} images, the thumbnails are {len(thumbnails)}",
            remedy="dvc repro download",
        )
    digests = manifest["sha256"].to_numpy(dtype=object)
    labels = manifest["label"].to_numpy(dtype=object)
    if isinstance(grouping, SourceTileGroups):
        groups = source_tiles(thumbnails, digests, settings=grouping)
    elif isinstance(grouping, FileBlocks):
        groups = file_blocks(file_numbers(manifest["image"]), digests, labels, blocks=grouping.blocks)
    elif isinstance(grouping, NearDuplicateGroups):
        numbers = file_numbers(manifest["image"])
        groups = pseudo_groups(thumbnails, digests, numbers, labels, settings=grouping)
    else:
        patients = manifest["group"].fillna("").to_numpy(dtype=object)
        images = manifest["image"].to_numpy(dtype=object)
        if not patients.any():
            raise UserError(
                "groups are to be patients, but no image tells one",
                remedy="give patients, table.patient or another groups.method in the dataset's file",
            )
        groups = merged_patients(
            patients, images, digests, thumbnails, near_duplicate_cosine=grouping.near_duplicate_cosine
        )
    return pd.Series(groups, index=manifest.index, name="group", dtype="str")


def merged_patients(
    patients: NDArray[Any],
    images: NDArray[Any],
    sha256: NDArray[Any],
    thumbnails: NDArray[np.uint8],
    *,
    near_duplicate_cosine: float,
) -> NDArray[np.object_]:
    """Patients, joined where they share a picture.

    Args:
        patients: `(n,)` str; empty where a file name gives no patient.
        images: `(n,)` str, names of the images.
        sha256: `(n,)`, digests of the files.
        thumbnails: `(n, rows, cols, 3)`, uint8, RGB.
        near_duplicate_cosine: Thumbnails this alike share a group.

    Returns:
        `(n,)` str: the patient; for joined patients the first of their names in the order of text; for an
        image without patient that stands alone, its own name.
    """
    vectors = unit_vectors(thumbnails)
    links = [equal_pairs(patients), equal_pairs(sha256)]
    codes = components(len(patients), chain(links, near_pairs(vectors, cosine=near_duplicate_cosine)))
    # Names of images are used only by groups in which nobody knows a patient.
    candidates = pd.DataFrame({"code": codes, "unknown": patients == "", "name": patients})
    candidates["name"] = candidates["name"].where(~candidates["unknown"], images)
    first = candidates.sort_values(["unknown", "name"]).groupby("code")["name"].first()
    # The codes run from 0 without gaps, so they are also positions.
    return np.asarray(first.to_numpy(dtype=object)[codes])


def groups_with_two_labels(labels: NDArray[Any], groups: NDArray[Any]) -> dict[str, list[str]]:
    """Finds the groups whose images do not all carry one label.

    Args:
        labels: `(n,)`, the class of each image.
        groups: `(n,)`, the group of each image.

    Returns:
        The labels of each such group, sorted; groups in the order of their names.
    """
    table = pd.DataFrame({"label": labels, "group": groups}).drop_duplicates()
    several = table[table.duplicated("group", keep=False)].sort_values(["group", "label"])
    return {str(name): part["label"].tolist() for name, part in several.groupby("group")}


def file_blocks(
    numbers: NDArray[np.intp], sha256: NDArray[Any], labels: NDArray[Any], *, blocks: int
) -> NDArray[np.object_]:
    """Cuts the files of each class, in the order of their numbers, into blocks of about equal size.

    Args:
        numbers: `(n,)`, the running number in each file's name; negative where it has none: those come first.
        sha256: `(n,)`, digests of the files; blocks that hold identical files are one.
        labels: `(n,)`, the class of each image.
        blocks: Blocks of each class.

    Returns:
        `(n,)` str: `block-0001` and so on, numbered by first appearance.
    """
    table = pd.DataFrame({"label": labels, "number": numbers})
    place = table.sort_values("number", kind="stable").groupby("label").cumcount().sort_index()
    size = table.groupby("label")["number"].transform("size")
    table["block"] = place * blocks // size
    codes = table.groupby(["label", "block"]).ngroup().to_numpy()
    links = [equal_pairs(codes.astype(str)), equal_pairs(sha256)]
    return names(components(len(table), links), prefix="block")


def file_numbers(images: Iterable[str]) -> NDArray[np.intp]:
    """The last number in each file's name, -1 if it has none: 12 for "Normal cases/Normal case (12).jpg"."""
    stems = (image.rsplit("/", 1)[-1].rsplit(".", 1)[0] for image in images)
    return np.array(
        [int(found[1]) if (found := _LAST_NUMBER.search(stem)) else -1 for stem in stems], np.intp
    )
