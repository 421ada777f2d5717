"""Leaks between the subsets of a split, and what else gives a class away.

`audit` returns a JSON object (lists in the manifest's order):

    images              int
    images_per_class    {class: int}
    class_balance       {"share": {class: float}, "largest_to_smallest": float}
    redundant_files     {"total", "within_classes", "across_classes": int}; redundant is each file beyond the
                        first of a set of byte-identical ones; total = within + across
    contradictory       {"images": int, "sets": [{class: [image, …], …}, …]}, the same picture (thumbnails
                        equal in every pixel) under more than one class; all of them are listed
    groups              {"unit": str, "inferred": bool (from these images; else given),
                        "number", "images_with_group", "smallest", "largest": int,
                        "median", "mean": float (images of a group; 0 where no group is known),
                        "two_labels": [{"group": str, "images_per_class": {class: int}}, …]}
    shape               {"size": S, "aspect": S}; a size is "512x512", an aspect the same reduced, "1:1"
    near_duplicates     {"cosine": float, "count_as_leak": bool}
    shortcuts           see `lung_attention.audit.shortcuts`
    splits              {name: {**R,
                        "rounds": [{"fold": int, "images_per_class": {subset: {class: int}}, **R}, …],
                        "listed": {"identical_files": [[image, …], …], "groups": [group, …],
                        "test_images_with_duplicate_in_training": [image, …]},
                        "drawn_by_groups": bool, "leak": bool, "sentence": str}}
    findings            [str, …], sentences on the dataset as a whole

S, of the size or the aspect; a value gives the class away when it occurs repeatedly and in one class only:

    distinct                        int
    most_common                     str
    odd_images                      int, of any value but the most common one
    odd_images_per_class            {class: int}
    giveaway_images                 int
    giveaway_images_per_class       {class: int}
    giveaway_images_expected        float, by chance
    giveaways                       [{"value": str, "label": class, "images": int}, …]

R, of a round (its subsets) or of a whole split (its subsets, or the folds of a cross-validation):

    redundant_files         {"within", "across": int}
    near_duplicate_pairs    {"within", "across": int, "between": {"train|test": int, …}}, pairs of grey
                            thumbnails at least as alike as the given cosine, identical files included
    groups_on_two_sides     int
    test_images             int; in a cross-validation each image is tested once, so all of them
    test_images_with_identical_file_in_training, test_images_with_near_duplicate_in_training,
    test_images_with_duplicate_in_training (either of the two), test_images_with_group_in_training: int
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice
from math import comb, gcd
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from lung_attention.audit.leaks import (
    Images,
    Json,
    class_counts,
    count_table,
    mark_near_duplicates,
    partitions,
    redundant,
    split_record,
)
from lung_attention.audit.text import findings, sentence
from lung_attention.images.similarity import unit_vectors
from lung_attention.splits.alignment import check_split
from lung_attention.splits.protocol import is_cross_validation


def audit(
    manifest: pd.DataFrame,
    thumbnails: NDArray[np.uint8],
    groups: ArrayLike,
    splits: dict[str, pd.DataFrame],
    *,
    near_duplicate_cosine: float,
    near_duplicates_leak: bool,
    group_unit: str,
    groups_inferred: bool,
    listed: int,
    shortcuts: Json,
) -> Json:
    """Looks for leaks between subsets and for properties that give a class away.

    A split leaks when an identical file or a group stands on two sides, or, if asked for, a near-duplicate
    pair.

    Args:
        manifest: A row an image; image,label,sha256,width,height are used.
        thumbnails: `(n, 64, 64, 3)`, uint8, RGB, rows as in the manifest.
        groups: `(n,)` strings, what must not stand on two sides; empty where unknown.
        splits: Split tables (image,label,group,fold,subset) by name, rows as in the manifest. Their own
            groups are only compared with those, to know whether a cross-validation was drawn by them.
        near_duplicate_cosine: Grey thumbnails this alike are near-duplicates, in (0, 1].
        near_duplicates_leak: Whether a near-duplicate pair across subsets is a leak by itself. False where
            unrelated images look alike in grey; then identical files and groups decide.
        group_unit: What a group is, for people ("patient").
        groups_inferred: Whether groups were inferred from these images; else names, a table or the caller
            gave them.
        listed: How many names of each kind of leak are listed at most. Counts are always complete.
        shortcuts: What `find_shortcuts` found in the same images. A shortcut is no leak: every split has it.

    Returns:
        The JSON object that the module describes.

    Raises:
        UserError: A split does not name the manifest's images, or has unknown subsets.
    """
    names = manifest["image"].to_numpy(dtype=object)
    labels = manifest["label"].to_numpy(dtype=object)
    groups = np.asarray(groups, dtype=object)
    group_codes, group_names = pd.factorize(
        pd.Series(groups, dtype=object).mask(groups == "").to_numpy(dtype=object)
    )
    images = Images(
        names=names,
        labels=labels,
        files=pd.factorize(manifest["sha256"].to_numpy(dtype=object))[0],
        groups=group_codes,
        group_names=[str(name) for name in group_names],
    )
    found = {}
    for name, split in splits.items():
        check_split(split, manifest)
        found[name] = partitions(split)
    mark_near_duplicates(
        [one for of_split in found.values() for one in of_split],
        unit_vectors(thumbnails),
        cosine=near_duplicate_cosine,
    )
    result: Json = {
        "images": len(manifest),
        "images_per_class": class_counts(labels),
        "class_balance": _balance(labels),
        "redundant_files": _redundant_in_classes(images),
        "contradictory": _contradictory(images, thumbnails),
        "groups": {"unit": group_unit, "inferred": groups_inferred, **_group_sizes(groups, labels)},
        "shape": _shapes(manifest, labels, listed),
        "near_duplicates": {"cosine": float(near_duplicate_cosine), "count_as_leak": near_duplicates_leak},
        "shortcuts": shortcuts,
        "splits": {},
    }
    for name, of_split in found.items():
        record = split_record(of_split, images, listed=listed)
        record["drawn_by_groups"] = _drawn_by(groups, splits[name])
        record["leak"] = bool(
            record["redundant_files"]["across"]
            or record["groups_on_two_sides"]
            or (near_duplicates_leak and record["near_duplicate_pairs"]["across"])
        )
        record["sentence"] = sentence(record, result)
        result["splits"][name] = record
    result["findings"] = findings(result)
    return result


def _drawn_by(groups: NDArray[Any], split: pd.DataFrame) -> bool:
    """Whether a split was drawn by these very groups: a cross-validation whose table names them all."""
    named = split["group"].fillna("").to_numpy(dtype=object)
    return is_cross_validation(split) and bool((groups != "").all() and (named == groups).all())


def _balance(labels: NDArray[Any]) -> Json:
    counts = class_counts(labels)
    return {
        "share": {label: count / len(labels) for label, count in counts.items()},
        "largest_to_smallest": max(counts.values()) / min(counts.values()),
    }


def _redundant_in_classes(images: Images) -> Json:
    classes, names = pd.factorize(images.labels)
    within, across = redundant(count_table(images.files, classes, len(names)))
    return {"total": within + across, "within_classes": within, "across_classes": across}


def _contradictory(images: Images, thumbnails: NDArray[np.uint8]) -> Json:
    """Pictures under more than one class, by thumbnail: a copy that was stored anew has other bytes."""
    digests = [blake2b(thumbnail.tobytes()).hexdigest() for thumbnail in thumbnails]
    table = pd.DataFrame({"picture": digests, "label": images.labels, "image": images.names})
    disputed = table[table.groupby("picture")["label"].transform("nunique") > 1]
    sets = [
        {str(label): part["image"].tolist() for label, part in pictures.groupby("label", sort=False)}
        for _, pictures in disputed.groupby("picture", sort=False)
    ]
    return {"images": len(disputed), "sets": sets}


def _group_sizes(groups: NDArray[Any], labels: NDArray[Any]) -> Json:
    table = pd.DataFrame({"group": groups, "label": labels})[groups != ""]
    sizes = table["group"].value_counts().to_numpy() if len(table) else np.zeros(1, dtype=np.int64)
    disputed = table[table.groupby("group")["label"].transform("nunique") > 1]
    return {
        "number": table["group"].nunique(),
        "images_with_group": len(table),
        "smallest": int(sizes.min()),
        "largest": int(sizes.max()),
        "median": float(np.median(sizes)),
        "mean": float(np.mean(sizes)),
        "two_labels": [
            {"group": str(group), "images_per_class": class_counts(part["label"].to_numpy(dtype=object))}
            for group, part in disputed.groupby("group", sort=False)
        ],
    }


def _shapes(manifest: pd.DataFrame, labels: NDArray[Any], listed: int) -> Json:
    sizes = list(zip(manifest["width"].tolist(), manifest["height"].tolist(), strict=True))
    aspects = [(width // gcd(width, height), height // gcd(width, height)) for width, height in sizes]
    return {
        "size": _giveaways([f"{width}x{height}" for width, height in sizes], labels, listed),
        "aspect": _giveaways([f"{width}:{height}" for width, height in aspects], labels, listed),
    }


def _giveaways(values: list[str], labels: NDArray[Any], listed: int) -> Json:
    """Values of a property that give the class away: they occur more than once, and in one class only.

    A rare value stands in one class by chance: m images all have one class with probability
    Σ_c C(n_c, m) / C(n, m) when the labels are dealt out at random (hypergeometric). Hence the expected
    number beside the found one.

    Args:
        values: `(n,)`, the property of each image.
        labels: `(n,)`, its class.
        listed: How many values are listed at most.

    Returns:
        A JSON object, S in the module's description.
    """
    table = pd.DataFrame({"value": values, "label": labels})
    by_value = table.groupby("value")["label"]
    counts = table["value"].value_counts()
    repeated = counts[counts > 1].tolist()
    class_sizes, n = list(class_counts(labels).values()), len(labels)
    odd = (table["value"] != counts.index[0]).to_numpy()
    told = ((by_value.transform("nunique") == 1) & (by_value.transform("size") > 1)).to_numpy()
    if len(class_sizes) == 1:  # every value stands in the one class there is, which tells nothing
        told, repeated = np.zeros(n, dtype=bool), []
    return {
        "distinct": len(counts),
        "most_common": str(counts.index[0]),
        "odd_images": int(odd.sum()),
        "odd_images_per_class": class_counts(labels[odd]),
        "giveaway_images": int(told.sum()),
        "giveaway_images_per_class": class_counts(labels[told]),
        "giveaway_images_expected": float(
            sum(m * sum(comb(n_c, m) for n_c in class_sizes) / comb(n, m) for m in repeated)
        ),
        "giveaways": [
            {"value": str(value), "label": str(part["label"].iloc[0]), "images": len(part)}
            for value, part in islice(table[told].groupby("value", sort=False), listed)
        ],
    }
