"""The section on leaks between the subsets of each split, and on shortcuts."""

from __future__ import annotations

from lung_attention.plots.style import words
from lung_attention.report.blocks import Block, Bullets, Details, Missing, Section, Table, Text
from lung_attention.report.collect import Json, Results
from lung_attention.report.numbers import count, decimal, listed, p_value, percent

_TEST_IMAGES = "test_images_with_{}_in_training"


def audit_section(results: Results) -> Section:
    """What the audit found on each dataset, and what crosses the subsets of each split."""
    blocks: list[Block] = [
        Text(
            "Whether test images were seen in training, in any form: as an identical file, as a "
            "near-duplicate picture, or through another image of the same group. A group is what must not be "
            "split: a patient where file names or a table tell, otherwise inferred from the images "
            "themselves. The grouped split is drawn by these groups, so that it divides none holds by "
            "construction; related images that were not recognised as such go unnoticed. "
            "And whether the class can be told without a look at the inside of the image: a shortcut is no "
            "leak, every split has it, and a network may take it all the same."
        )
    ]
    for dataset in results.config.datasets:
        title = results.dataset(dataset).title
        if dataset in results.audits:
            blocks.append(Details(f"{title}: {_verdicts(results, dataset)}", _audit(results, dataset)))
        else:
            blocks.append(Missing(f"{title}: not audited yet."))
    return Section("audit", "Audit of the data", blocks)


def _splits(results: Results, dataset: str) -> dict[str, Json]:
    """The audited splits of the design, in its order."""
    audited = results.audits[dataset]["splits"]
    return {name: audited[name] for name in results.config.splits if name in audited}


def _verdicts(results: Results, dataset: str) -> str:
    return ", ".join(
        f"{name} split {'leaks' if split['leak'] else 'shows no known leak'}"
        for name, split in _splits(results, dataset).items()
    )


def _audit(results: Results, dataset: str) -> list[Block]:
    audit = results.audits[dataset]
    groups = audit["groups"]
    classes = [f"{number:,} {words(name)}" for name, number in _by_class(results, dataset, audit)]
    about = f"{count(audit['images'], 'image')}: {listed(classes)}."
    if groups["number"]:
        about += (
            f" {count(groups['number'], 'group')} (here: {groups['unit']}) of {groups['smallest']} to "
            f"{groups['largest']} images, median {groups['median']:g}."
        )
    rows = []
    for name, split in _splits(results, dataset).items():
        tested = split["test_images"]
        crossing = [
            _share(split[_TEST_IMAGES.format(what)], tested)
            for what in ("identical_file", "near_duplicate", "group")
        ]
        leak = "**yes**" if split["leak"] else "no"
        rows.append([name, f"{tested:,}", *crossing, f"{split['groups_on_two_sides']:,}", leak])
    blocks: list[Block] = [Text(about)]
    if audit["findings"]:
        blocks.append(Bullets(audit["findings"]))
    blocks.append(
        Table(
            f"{results.dataset(dataset).title}: test images that have in training …",
            (
                "split", "test images", "an identical file", "a near-duplicate", "an image of their group",
                "groups on two sides", "leak",
            ),
            "lrrrrrl",
            rows,
        )
    )  # fmt: skip
    sentences = [f"{name} split: {of['sentence']}" for name, of in _splits(results, dataset).items()]
    blocks.append(Bullets(sentences))
    blocks += _shortcuts(results.dataset(dataset).title, audit["shortcuts"])
    return blocks


def _shortcuts(title: str, shortcuts: Json) -> list[Block]:
    """What is reached without a look at the inside of the image, and whether chance would reach it."""
    if not shortcuts["probes"]:
        return []
    rows = [
        [
            probe["title"],
            percent(probe["accuracy"]),
            percent(probe["balanced_accuracy"]),
            decimal(probe["auroc"]),
            decimal(probe["by_chance"]["auroc"]),
            p_value(probe["p"]),
            p_value(probe["p_holm"]),
            "**yes**" if probe["found"] else "no",
        ]
        for probe in shortcuts["probes"].values()
    ]
    of = "groups" if shortcuts["groups_known"] else "images"
    return [
        Table(
            f"{title}: what is reached without a look at the inside of the image",
            ("sees", "accuracy", "balanced", "AUROC", "AUROC by chance", "p", "p, Holm", "shortcut"),
            "lrrrrrrl",
            rows,
        ),
        Text(
            "Out of fold, by a quick linear probe; p by "
            f"{shortcuts['permutations']:,} permutations of the labels over {shortcuts['groups']:,} {of}. "
            "What a stronger classifier makes of the same stands among the baselines."
        ),
    ]


def _by_class(results: Results, dataset: str, audit: Json) -> list[tuple[str, int]]:
    return [(name, audit["images_per_class"].get(name, 0)) for name in results.dataset(dataset).labels]


def _share(number: int, total: int) -> str:
    return f"{number:,} ({100 * number / total:.1f} %)" if total else str(number)
