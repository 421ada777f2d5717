"""The audit in words: a sentence for each finding, and a Markdown section."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

_SHOWN = 10
"""Names shown in a sentence; the JSON object has the longer lists."""


def sentence(split: Json, audit: Json) -> str:
    """Says what crosses the subsets of one split, and by which criteria.

    Args:
        split: The record of the split, with its verdict.
        audit: The audit; its keys "images", "groups" and "near_duplicates" are used.

    Returns:
        One or more sentences that hold for any numbers.
    """
    decisive = audit["near_duplicates"]["count_as_leak"]
    cosine = audit["near_duplicates"]["cosine"]
    files = split["redundant_files"]["across"]
    pairs = split["near_duplicate_pairs"]["across"]
    groups = split["groups_on_two_sides"]
    known = audit["groups"]["number"]
    unit = audit["groups"]["unit"].removesuffix(" (inferred)")
    what_group = f"{unit}, {'inferred from these images' if audit['groups']['inferred'] else 'as given'}"
    tested = split["test_images"]
    crossing = []
    if files:
        crossing.append(f"{_count(files, 'redundant identical file')} across subsets")
    if groups:
        crossing.append(f"{groups} of {_count(known, 'group')} ({what_group}) on two sides")
    near = f"{_count(pairs, 'near-duplicate pair')} (cosine ≥ {cosine:g}) across subsets"
    if pairs and decisive:
        crossing.append(near)
    parts = []
    if split["leak"]:
        duplicate = (
            "test_images_with_duplicate_in_training"
            if decisive
            else "test_images_with_identical_file_in_training"
        )
        what = "a near-duplicate" if decisive else "an identical file"
        parts.append(
            f"Leak: {', '.join(crossing)}; {_share(split[duplicate], tested)} test images have {what} in "
            "training"
        )
        if groups:
            parts[0] += (
                f", {_share(split['test_images_with_group_in_training'], tested)} an image of their group"
            )
        parts[0] += "."
    else:
        checked = ["no file of identical bytes"]
        checked += [f"no near-duplicate pair (thumbnails with cosine ≥ {cosine:g})"] if decisive else []
        checked += [f"no group ({what_group})"] if known else []
        parts.append(f"No leak found by these criteria: {_list(checked)} stands on two sides.")
        parts += _worth(split, audit)
    if pairs and not decisive:
        parts.append(
            f"For information, {near}: here unrelated images can look alike in grey, so this is no verdict."
        )
    return " ".join(parts)


def _worth(split: Json, audit: Json) -> list[str]:
    """Says what it is worth that no group stands on two sides."""
    groups = audit["groups"]
    if not groups["number"]:
        return ["Groups are not known, so images of one group may stand on two sides all the same."]
    said = []
    if split["drawn_by_groups"]:
        said.append("The split was drawn by these groups, so that none is divided holds by construction.")
    if groups["inferred"]:
        said.append(
            "Related images that were not recognised as such may stand on two sides all the same: no patient "
            "is known here."
        )
    alone = audit["images"] - groups["images_with_group"]
    if alone:
        said.append(f"The group of {_count(alone, 'image')} is not known.")
    return said


def findings(audit: Json) -> list[str]:
    """Says what the audit found on the dataset as a whole, subsets apart.

    Args:
        audit: The audit without its key "findings".

    Returns:
        Sentences.
    """
    redundant = audit["redundant_files"]
    said = [
        f"{redundant['total']} of {_count(audit['images'], 'file')} are redundant (byte for byte equal to "
        f"another), {redundant['within_classes']} within a class and {redundant['across_classes']} across."
        if redundant["total"]
        else "No file is byte for byte equal to another one."
    ]
    disputed = audit["contradictory"]
    if disputed["images"]:
        said.append(
            f"{_count(disputed['images'], 'image')} show the same picture under more than one class "
            f"({_count(len(disputed['sets']), 'picture')})."
        )
    groups = audit["groups"]
    if groups["two_labels"]:
        names = [one["group"] for one in groups["two_labels"]]
        said.append(
            f"{len(names)} of {_count(groups['number'], 'group')} carry more than one class: {_some(names)}."
        )
    size, aspect = audit["shape"]["size"], audit["shape"]["aspect"]
    for shape, what in ((size, "size in pixels"), (aspect, "aspect ratio")):
        if shape is aspect and aspect["giveaway_images"] == size["giveaway_images"]:
            continue  # the same images, told already
        if shape["giveaway_images"] > shape["giveaway_images_expected"]:
            told = ", ".join(
                f"{count} {label}" for label, count in shape["giveaway_images_per_class"].items()
            )
            said.append(
                f"{shape['giveaway_images']} images have a {what} that occurs in one class only: {told} "
                f"({shape['giveaway_images_expected']:.1f} expected by chance)."
            )
    return said + _shortcuts(audit["shortcuts"])


def _shortcuts(shortcuts: Json) -> list[str]:
    """Says what gives the class away without a look inside the image, and what a p is worth here."""
    probes = shortcuts["probes"].values()
    if not probes:
        return []
    of = "groups" if shortcuts["groups_known"] else "images"
    test = f"{shortcuts['permutations']} permutations of the labels over {shortcuts['groups']} {of}, Holm"
    told = [
        f"{probe['title']} (AUROC {probe['auroc']:.2f}, by chance {probe['by_chance']['auroc']:.2f}, "
        f"p = {probe['p_holm']:.2g})"
        for probe in probes
        if probe["found"]
    ]
    said = (
        f"Shortcut: the class can be told without a look inside the image from {_list(told)} ({test})."
        if told
        else f"No shortcut found: {_list([probe['title'] for probe in probes])} "
        f"{'tells' if len(probes) == 1 else 'tell'} the class no better than chance ({test})."
    )
    if any(shortcuts["probes"].get(name, {}).get("found") for name in ("border", "background")):
        said += " Where images show body or tissue up to their edge, its look there may be a finding."
    if not shortcuts["groups_known"]:
        said += " Groups are not known: images of one patient count as independent, which makes p too small."
    return [said]


def markdown(audit: Json) -> str:
    """Renders the audit as Markdown without a heading of its own.

    Args:
        audit: What `lung_attention.audit.audit` returned.

    Returns:
        Findings as a list, a table of the probes for shortcuts, one of the splits, and the verdict on each
        split; no table without rows.
    """
    classes = ", ".join(f"{count} {label}" for label, count in audit["images_per_class"].items())
    groups = audit["groups"]
    lines = [f"{_count(audit['images'], 'image')}: {classes}."]
    if groups["number"]:
        lines.append(
            f"{_count(groups['number'], 'group')} (here: {groups['unit']}) of {groups['smallest']} to "
            f"{groups['largest']} images, median {groups['median']:g}."
        )
    lines += ["", *(f"- {one}" for one in audit["findings"])]
    if audit["shortcuts"]["probes"]:
        lines += [
            "",
            "| seen without a look inside | accuracy | balanced | AUROC | AUROC by chance | p | p, Holm |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
    for probe in audit["shortcuts"]["probes"].values():
        numbers = [probe[name] for name in ("accuracy", "balanced_accuracy", "auroc")]
        numbers += [probe["by_chance"]["auroc"], probe["p"], probe["p_holm"]]
        lines.append(f"| {probe['title']} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |")
    if not audit["splits"]:
        return "\n".join(lines) + "\n"
    lines += [
        "",
        "| split | test images | with identical file in training | with near-duplicate in training | "
        "with group in training | groups on two sides | leak |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for name, split in audit["splits"].items():
        cells = [
            name,
            split["test_images"],
            split["test_images_with_identical_file_in_training"],
            split["test_images_with_near_duplicate_in_training"],
            split["test_images_with_group_in_training"],
            split["groups_on_two_sides"],
            "**yes**" if split["leak"] else "no",
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    lines += ["", *(f"- **{name}**: {split['sentence']}" for name, split in audit["splits"].items())]
    return "\n".join(lines) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _share(number: int, total: int) -> str:
    return f"{number} of {total} ({number / total:.1%})" if total else "0 of 0"


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
