"""The tables that the pages hold, out of what was measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from statistics import median

from lung_attention.files import write_text
from lung_attention.report.regions import replace_region

from .estimates import Figures, below, by_first
from .floor import BYTES_A_WEIGHT, FIRST_UNITS
from .growth import growth_of
from .tables import TITLES, megabytes, table_of, wall_and_cpu
from .tables_of_prediction import prediction_table, rates_table
from .tables_of_ways import floor_table, in_a_sentence, published_table

SPEED, PREDICT, README = Path("docs/speed.md"), Path("docs/predict.md"), Path("README.md")


def write_pages(results: Figures, root: Path) -> list[Path]:
    """Writes the tables of what was measured into the pages that have a region for them, and what was not.

    Args:
        results: Of `Store.finish`.
        root: The folder of README.md and docs/.

    Returns:
        The pages.
    """
    measured, machines = results["measured"], results["parts"]
    regions: list[tuple[Path, str, str, Callable[[Figures], str]]] = [
        (SPEED, "published-way", "ways", published_table),
        (SPEED, "floor", "ways", floor_table),
        (SPEED, "growth", "growth", growth_table),
        (SPEED, "overheads", "overheads", overheads_table),
        (SPEED, "installation", "installation", installation_table),
        (SPEED, "prediction", "prediction", prediction_table),
        (SPEED, "steps", "steps", steps_table),
        (PREDICT, "rates", "prediction", rates_table),
        (README, "speed", "ways", in_a_sentence),
    ]
    written = []
    for page, region, part, table in regions:
        path = root / page
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if f"<!-- generated:{region} -->" not in text or (part not in machines and page == README):
            continue
        if part not in machines:
            content = f"Not measured yet: `python -m tools.benchmark --only {part}`."
        else:
            content = table(measured)
            if page != README:
                content = f"{content}\n\n{machine(machines[part])}"
        write_text(path, replace_region(text, region, content))
        written.append(path)
    return list(dict.fromkeys(written))


def machine(about: Figures) -> str:
    """On what it was measured, with which versions, and when."""
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    return (
        f"{about['processor']}, {about['cores']} cores, {about['memory_gb']} GB, load "
        f"{about['load_before']} before; {about['system']}, Python {about['python']}, {versions}; "
        f"code {about['code']}, {about['date']}."
    )


def growth_table(measured: Figures) -> str:
    """Time and memory of each stage by the number of images."""
    found: dict[int, list[Figures]] = {}
    for one in below(measured, "growth/").values():
        found.setdefault(one["images"], []).append(one)
    images = sorted(found)
    stages = [name for name in found[images[0]][0] if name != "images"]
    rows = []
    for stage in stages:
        seconds = [median(one[stage]["wall_s"] for one in found[n]) for n in images]
        own = [median(one[stage]["own_mb"] for one in found[n]) for n in images]
        rss = [median(one[stage]["rss_mb"] for one in found[n]) for n in images]
        grown = growth_of(images, seconds) if len(images) > 2 else None
        exponent = "–" if grown is None or grown.exponent is None else f"{grown.exponent:.2f}"
        start = "–" if grown is None else f"{grown.start_s:.1f} s"
        rows.append(
            [stage, *(f"{one:.1f} s" for one in seconds), start, exponent,
             megabytes(own[0]), megabytes(own[-1]),
             f"{100 * (own[-1] / own[0] - 1):+.0f} %",
             f"{100 * (rss[-1] / rss[0] - 1):+.0f} %"]
        )  # fmt: skip
    header = ["stage", *(f"{n:,} images" for n in images), "start", "exponent", "memory at first", "at last",
              "growth", "with mapped files"]  # fmt: skip
    return table_of(header, rows)


def overheads_table(measured: Figures) -> str:
    """The idle pipeline, the whole sample, and imports."""
    rows = []
    if idle := list(below(measured, "overheads/idle/").values()):
        rows.append(["`dvc repro` with nothing to do", *wall_and_cpu(idle)])
    for command, found in by_first(measured, "overheads/start/").items():
        rows.append([f"of which `{command}`", *wall_and_cpu(found)])
    if sample := measured.get("overheads/sample"):
        rows.append(["`make repro` of the sample, in a fresh clone, installed", *wall_and_cpu([sample])])
    for stage, found in by_first(measured, "overheads/import/").items():
        rows.append([f"imports of the stage `{stage}`", *wall_and_cpu(found)])
    blocks = [table_of(["what", "time", "of processors"], rows)]
    if locks := list(below(measured, "overheads/lock/").values()):
        seconds = median(one["s"] for one in locks)
        blocks.append(f"DVC reads and writes the sample's `dvc.lock` in {seconds:.2f} s, after each stage.")
    if sample:
        runs = [
            [
                f"`{stage}`",
                str(len(seconds)),
                f"{sum(seconds):,.0f} s",
                f"{sum(seconds) / len(seconds):.1f} s",
            ]
            for stage, seconds in sample["stages"].items()
        ]
        blocks.append("The stages of the sample, several at a time, with what they wait for each other:")
        blocks.append(table_of(["stage", "runs", "time of all", "of one"], runs))
    return "\n\n".join(blocks)


def installation_table(measured: Figures) -> str:
    """Installing the locked versions."""
    rows = [
        [f"`make env` by {tool}, nothing cached", *wall_and_cpu([one]), f"{one['disk_mb'] / 1000:.1f} GB"]
        for tool, one in below(measured, "installation/").items()
    ]
    return table_of(["what", "time", "of processors", "on disk"], rows)


def steps_table(measured: Figures) -> str:
    """The old acquaintances: one image through a backbone, one step of a fit."""
    rows = []
    for key, one in below(measured, "steps/").items():
        call, _, preload = key.partition("/")
        kind, *rest = call.split(" ")
        if preload:
            rows.append(
                ["the same with tcmalloc", "", f"{one['ms']:.1f} ms a step", f"{one['own_mb']:,.0f} MB"]
            )
        elif kind == "extraction":
            rows.append(
                [f"{TITLES[rest[0]]}, {int(rest[2]):,} images", f"{rest[1]} px",
                 f"{one['ms']:.1f} ms an image", megabytes(one["own_mb"])]
            )  # fmt: skip
        elif kind == "products":
            rows.append(
                ["products of matrices in its first layer, alone", " × ".join(rest),
                 f"{one['ms']:.1f} ms a step", ""]
            )  # fmt: skip
            if speed := measured.get("ways/memory"):
                moved = BYTES_A_WEIGHT * math.prod(map(int, rest)) * FIRST_UNITS
                rows.append(
                    ["its weights, gradients and moments at memory's speed", " × ".join(rest),
                     f"{1000 * moved / speed['bytes_a_second']:.1f} ms a step", ""]
                )  # fmt: skip
        else:
            rows.append(
                [f"fit, {rest[4]} head, {int(rest[3]):,} images", " × ".join(rest[:3]),
                 f"{one['ms']:.1f} ms a step", megabytes(one["own_mb"])]
            )  # fmt: skip
    return table_of(["measured", "on", "time", "memory"], rows)
