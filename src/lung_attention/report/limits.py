"""The sections on what results can carry: limitations, sample sizes, and each claim with its verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import norm

from lung_attention.cells import PUBLISHED
from lung_attention.report.blocks import Answer, Block, Bullets, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.numbers import DASH, listed, percent

_POWER = 0.8


def limitations(results: Results) -> Section:
    """What these results cannot say, and how small a difference they could have missed."""
    titles = {name: results.dataset(name).title for name in results.config.datasets}
    inferred = [titles[name] for name in titles if results.dataset(name).groups_inferred]
    items = [
        "**No patient is described.** The archives tell neither age nor sex, scanner nor hospital, so "
        "nothing is said of who is represented, of fairness, or of what differs between sites.",
        "**Nothing is external.** Every score comes from the archive that the classifier was trained on. On "
        "images of another hospital all of them may be lower.",
    ]
    if inferred:
        items.append(
            f"**Some groups are inferred** ({listed(inferred)}): no file tells a patient or a source, so "
            'related images may stand on two sides all the same. What is called "without known leakage" is '
            "without what could be found."
        )
    seeds = {len(values["seeds"]) for cell, values in results.metrics.items() if cell.split == "grouped"}
    if seeds == {1}:
        items.append(
            "**One training a fold on the grouped split.** How another seed would do is not in the intervals "
            "there; what the seeds of the published split differ by stands in the tables."
        )
    items.append(
        "**Labels are taken as they are**: a class of an archive, or a rating of radiologists, is no proof "
        "by histology, and wrong labels are scored as truth."
    )
    download = results.config.active.download
    if not download.check_counts and download.source != "embedded":
        items.append(
            "**Numbers of images were not compared with the releases** (`download.check_counts: false`), so "
            "an archive may lack some, or hold others."
        )
    if results.config.active.stand_ins:
        items.insert(0, f"**Nothing here is about disease.** {' '.join(results.config.active.stand_ins)}")
    blocks: list[Block] = [Bullets(items), *_sample_sizes(results)]
    return Section("limitations", "Limitations, and the size of the samples", blocks)


def _sample_sizes(results: Results) -> list[Block]:
    """Effective groups, and the difference between two heads that would have been missed."""
    if results.comparisons is None:
        return []
    confidence = results.comparisons["confidence"]
    rows = []
    for dataset in results.config.datasets:
        entries = [
            entry
            for entry in results.comparisons["attention_vs_plain"]
            if (entry["dataset"], entry["recipe"], entry["split"]) == (dataset, PUBLISHED, "grouped")
        ]
        cells = [
            values
            for cell, values in results.metrics.items()
            if (cell.dataset, cell.recipe, cell.split) == (dataset, PUBLISHED, "grouped")
        ]
        if not cells:
            continue
        values = cells[0]
        smallest = min(values["per_class"].items(), key=lambda item: item[1]["support"])
        width = max((v["accuracy_high"] - v["accuracy_low"]) / 2 for v in cells)
        missed = [_detectable(entry["differences"]["accuracy"], confidence) for entry in entries]
        rows.append(
            [
                results.dataset(dataset).title,
                f"{values['n_test']:,}",
                f"{values['n_groups']:,} ({values['n_effective']:.0f})",
                f"{smallest[0].replace('_', ' ')}, {smallest[1]['support']:,}",
                f"± {100 * width:.1f}",
                f"{100 * max(missed):.1f}" if missed else DASH,
            ]
        )
    if not rows:
        return []
    columns = (
        "dataset", "images tested", "groups (effective)", "smallest class", "accuracy known to, points",
        "difference between heads found with 80 %, points",
    )  # fmt: skip
    return [
        Text(
            "No sample size was planned: the archives are as large as they are. What they can show, from the "
            "intervals on the grouped split: an accuracy is known no better than to the fifth column, and a "
            "difference between two heads smaller than the last one would be missed in more than one case of "
            f"five (normal approximation, {100 * confidence:g} % two-sided)."
        ),
        Table("What the samples can show", columns, "lrrlrr", rows),
    ]


def _detectable(difference: Mapping[str, Any], confidence: float) -> float:
    """The true difference that a test at `1 − confidence` finds with 80 %, from the width of an interval."""
    z = float(norm.isf((1 - confidence) / 2))
    deviation = (difference["high"] - difference["low"]) / (2 * z)
    return 0.0 if math.isnan(deviation) else (z + float(norm.isf(1 - _POWER))) * deviation


def claims_and_verdicts(results: Results, answers: Sequence[Answer]) -> Section:
    """Every claim, the paper's and ours, with its verdict and the command that gives it again."""
    profile = results.config.profile
    command = "`make repro`" if profile == "sample" else f"`make repro PROFILE={profile}`"
    rows = []
    for claim in results.published.abstract_claims:
        theirs = [r for r in results.published.results if r.dataset == claim.dataset]
        printed = {round(r.n_right / r.n_test, 4) for r in theirs}
        best = max(printed)
        held = "is not printed by the published repository, whose best there is " + percent(best)
        if abs(best - claim.accuracy) < 5e-5:
            held = "is printed by the published repository"
        text = f"{percent(claim.accuracy)} on {results.dataset(claim.dataset).title}"
        rows.append(["the paper's abstract", text, held, f'section "{_SECTION}"'])
    rows += [["this report", one.question, f"**{one.verdict}.** {one.numbers}", command] for one in answers]
    return Section(
        "verdicts",
        "Every claim, with its verdict",
        [
            Table(
                "Claims and questions, each with its verdict",
                ("who", "claim or question", "verdict", "where from"),
                "llll",
                rows,
            )
        ],
    )


_SECTION = "What the abstract claims, and what the repository printed"
