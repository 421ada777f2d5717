"""The sections that set our results beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.data.published import PublishedResult
from lung_attention.evaluation.explanations import MEETS
from lung_attention.evaluation.verdicts import ABOVE, BELOW, published_interval
from lung_attention.report.blocks import Block, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.numbers import (
    DASH,
    count,
    decimal,
    decimal_interval,
    listed,
    p_value,
    percent,
    percent_interval,
    points,
    seed_spread,
    signed,
)

_NOT_RUN = "not run"


def six_results(results: Results) -> Section:
    """The published results and ours on the published split, for both heads, with verdicts."""
    accuracies: list[list[str]] = []
    others: list[list[str]] = []
    for result in results.published.results:
        accuracies += _accuracy_rows(results, result)
        others += _other_rows(results, result)
    blocks: list[Block] = [
        Text(
            "On the published split; brackets hold intervals "
            f"({100 * results.config.active.evaluate.confidence:g} %). The published code computed its "
            "attention and then did not use it, so its results are those of the plain head; the attention "
            "head is the method as the paper describes it. A published accuracy is taken as a binomial on "
            "its own number of test images. The difference is ours minus theirs, in percentage points; "
            "the spread over seeds is a standard deviation, in points as well. Both scores are taken as "
            "independent although their test images are largely the same, which makes agreement a little too "
            "easy; how trainings differ is not counted, which makes a difference too easy where ours is one "
            "seed. What would become of the verdicts otherwise stands below the table."
        ),
        Table(
            "The six published accuracies and ours",
            (
                "dataset, backbone", "whose", "accuracy", "difference", "verdict", "test images",
                "spread over seeds",
            ),
            "llrrlrr",
            accuracies,
        ),
        *_otherwise(results),
        *_copies(results),
        *_why_off(results),
        *_open_rows(results),
        Table(
            "Test loss (cross-entropy) and AUROC, published and ours",
            ("dataset, backbone", "whose", "loss", "AUROC, one vs rest", "AUROC, one vs one"),
            "llrrr",
            others,
        ),
    ]  # fmt: skip
    return Section("six", "The six published results, and ours", blocks)


def _copies(results: Results) -> list[Block]:
    """Says where the images are not those of the release, from which differences may come."""
    named = [f"{results.dataset(dataset).title}: {text}" for dataset, text in results.copies.items()]
    if not named:
        return []
    return [
        Text(
            f"The images of this run are copies that differ from the release. {'; '.join(named)}. "
            "Differences from published results may come from that."
        )
    ]


def _otherwise(results: Results) -> list[Block]:
    """What the verdicts would be after adjustment, and if both test sets were the same images."""
    rows = []
    for entry in (results.comparisons or {}).get("reproduction", []):
        if entry["p_value"] is None:
            continue
        overlap = entry["overlap"]
        same = "test sets differ in size"
        if overlap is not None:
            same = f"{p_value(overlap['p_smallest'])} to {p_value(overlap['p_largest'])}"
        rows.append(
            [
                f"{results.dataset(entry['dataset']).title}, {results.title(entry['backbone'])}",
                entry["head"],
                p_value(entry["p_value"]),
                p_value(entry["p_holm"]),
                entry["verdict_holm"],
                same,
            ]
        )
    if not rows:
        return []
    return [
        Table(
            "The verdicts seen otherwise: p values that belong to the intervals, adjusted over the results "
            "of one head (Holm), and of McNemar's test if both test sets are the same images, over every "
            "overlap of the errors that is possible",
            ("dataset, backbone", "head", "p", "p, Holm", "verdict, Holm", "p on the same images"),
            "llrrlr",
            rows,
        )
    ]


def name_of(results: Results, result: PublishedResult) -> str:
    """Dataset and backbone of a published result, in words."""
    return f"{results.dataset(result.dataset).title}, {result.backbone_title}"


def own_cell(results: Results, result: PublishedResult, head: str) -> Mapping[str, Any] | None:
    """The metrics of our cell that a published result stands for, if there is one."""
    return results.metrics.get(Cell(result.dataset, result.backbone, head, PUBLISHED, "published"))


def _accuracy_rows(results: Results, result: PublishedResult) -> list[list[str]]:
    low, high = published_interval(result, confidence=results.config.active.evaluate.confidence)
    theirs = {"accuracy": result.n_right / result.n_test, "accuracy_low": low, "accuracy_high": high}
    accuracy = percent_interval(theirs, "accuracy")
    rows = [[name_of(results, result), "**published**", accuracy, "", "", f"{result.n_test:,}", ""]]
    for head in results.config.heads:
        ours, entry = own_cell(results, result, head), _entry(results, result, head)
        verdict = "not compared yet" if entry is None else f"**{entry['verdict']}**"
        if ours is None:
            rows.append(["", f"ours, {head}", DASH, DASH, verdict, DASH, DASH])
        else:
            accuracy, difference = (
                percent_interval(ours, "accuracy"),
                DASH if entry is None else points(entry, decimals=2),
            )
            tested, spread = f"{ours['n_test']:,}", seed_spread(ours)
            rows.append(["", f"ours, {head}", accuracy, difference, verdict, tested, spread])
    return rows


def _other_rows(results: Results, result: PublishedResult) -> list[list[str]]:
    theirs = (result.test_loss, result.auroc_ovr, result.auroc_ovo)
    rows = [[name_of(results, result), "**published**", *map(decimal, theirs)]]
    for head in results.config.heads:
        ours = own_cell(results, result, head)
        scores = ("log_loss", "auroc_ovr", "auroc_ovo")
        texts = [DASH if ours is None else decimal_interval(ours, score) for score in scores]
        rows.append(["", f"ours, {head}", *texts])
    return rows


def _entry(results: Results, result: PublishedResult, head: str) -> Mapping[str, Any] | None:
    entries: Sequence[Mapping[str, Any]] = (results.comparisons or {}).get("reproduction", [])
    key = (result.dataset, result.backbone, head)
    for entry in entries:
        if (entry["dataset"], entry["backbone"], entry["head"]) == key:
            return entry
    return None


def _why_off(results: Results) -> list[Block]:
    """For each result that is off, the experiments that show why, or that there is none yet."""
    rows, unexplained = [], []
    for result in results.published.results:
        for head in results.config.heads:
            entry = _entry(results, result, head)
            if entry is None or entry["verdict"] not in (ABOVE, BELOW):
                continue
            name = f"{name_of(results, result)}, {head}"
            for number, run in enumerate(entry["experiments"]):
                ours = {f"accuracy{end}": run[key] for end, key in
                        (("", "accuracy"), ("_low", "low"), ("_high", "high"))}  # fmt: skip
                rows.append(
                    [
                        "" if number else name,
                        run["experiment"],
                        f"`{run['settings']}`",
                        percent_interval(ours, "accuracy"),
                        signed(f"{100 * run['difference']:+.2f} (before: {100 * entry['difference']:+.2f})"),
                        f"**{run['finding']}**",
                    ]
                )
            if not any(run["finding"] == MEETS for run in entry["experiments"]):
                unexplained.append(name)
    blocks: list[Block] = []
    if rows:
        blocks.append(
            Table(
                "Where ours is off: the same runs with one setting changed, minus the published result",
                ("dataset, backbone, head", "experiment", "settings", "accuracy", "difference", "finding"),
                "lllrrl",
                rows,
            )
        )
        blocks.append(
            Text(
                "These settings were changed after the difference had been seen. That one of them meets the "
                "published result makes it a guess at the cause, to be tested elsewhere, and no proof."
            )
        )
    if unexplained:
        blocks.append(
            Text(f"No setting tried here brings ours within sampling error: {'; '.join(unexplained)}.")
        )
    return blocks


def _open_rows(results: Results) -> list[Block]:
    """Says which published rows nobody can fill here, and what does not fill them."""
    open_rows = [
        name_of(results, result)
        for result in results.published.results
        if result.dataset not in results.config.datasets or result.backbone not in results.config.backbones
    ]
    blocks: list[Block] = []
    if open_rows:
        blocks.append(
            Text(
                f"{count(len(open_rows), 'published result')} open, not part of the design of this run: "
                f"{'; '.join(open_rows)}. No score of another task stands in."
            )
        )
    known = {result.dataset for result in results.published.results}
    others = [results.dataset(name).title for name in results.config.datasets if name not in known]
    if others:
        blocks.append(
            Text(
                f"{listed(others)}: nothing was published on these images, so their scores stand in the "
                "tables further down and are compared with no published one. What is called their published "
                "split there was drawn here in the paper's manner, by image."
            )
        )
    return blocks


def claims(results: Results) -> Section:
    """What the abstract says, what the published repository printed, and what came out here."""
    rows = []
    for claim in results.published.abstract_claims:
        for number, result in enumerate(_of(results, claim.dataset)):
            printed = result.n_right / result.n_test
            ours = own_cell(results, result, "plain")
            gap = signed(f"{100 * (claim.accuracy - printed):+.2f}")
            rows.append(
                [
                    "" if number else results.dataset(claim.dataset).title,
                    "" if number else percent(claim.accuracy),
                    result.backbone_title,
                    f"{percent(printed)} ({result.n_right} of {result.n_test})",
                    gap,
                    _NOT_RUN if ours is None else percent_interval(ours, "accuracy"),
                ]
            )
    unclaimed = [
        results.dataset(dataset).title
        for dataset in dict.fromkeys(result.dataset for result in results.published.results)
        if dataset not in {claim.dataset for claim in results.published.abstract_claims}
    ]
    blocks: list[Block] = [
        Table(
            "Accuracy in the abstract and in the repository",
            (
                "dataset", "abstract", "backbone", "printed by the repository",
                "abstract − repository, points", "ours, plain, published split",
            ),
            "lrlrrr",
            rows,
        )
    ]  # fmt: skip
    if unclaimed:
        blocks.append(Text(f"The abstract gives no accuracy for {listed(unclaimed)}."))
    return Section("claims", "What the abstract claims, and what the repository printed", blocks)


def _of(results: Results, dataset: str) -> list[PublishedResult]:
    return [result for result in results.published.results if result.dataset == dataset]
