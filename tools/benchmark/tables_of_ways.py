"""The tables of the three ways: the published one, this project's, and the least possible."""

from __future__ import annotations

from statistics import median

from lung_attention.config import load_config
from lung_attention.paths import PARAMS

from . import estimates
from .estimates import Figures, below, least, ours, published, ratio
from .tables import TITLES, duration, table_of
from .ways import HEADS


def published_table(measured: Figures) -> str:
    """The published way against this one, the seconds of each stage, and the run in full."""
    rows, detail, checks = [], [], []
    keys = _keys(measured)
    sums = {"theirs": 0.0, "ours": 0.0}
    memory: dict[str, list[float]] = {"theirs": [], "ours": []}
    for key in keys:
        theirs, mine = published(measured, key), ours(measured, key, "plain", scored=True)
        sums["theirs"] += median(theirs.seconds)
        sums["ours"] += median(mine.seconds)
        memory["theirs"].append(theirs.mb)
        memory["ours"].append(mine.mb)
        rows.append(
            [_cell(key), duration(median(theirs.seconds)), duration(median(mine.seconds)),
             f"{ratio(theirs.seconds, mine.seconds):.1f} ×", f"{theirs.mb / 1000:.1f} GB",
             f"{mine.mb / 1000:.1f} GB", f"{theirs.mb / mine.mb:.1f} ×"]
        )  # fmt: skip
        detail.append([_cell(key), *(f"{value:.0f} s" for value in mine.parts.values())])
        if (seconds := estimates.whole(measured, key)) is not None:
            checks.append(
                f"{_cell(key)} was also run with all epochs: {duration(seconds)}, where "
                f"{duration(median(mine.seconds))} had been extrapolated."
            )
    rows.append(
        [f"**all {len(keys)}**", duration(sums["theirs"]), duration(sums["ours"]),
         f"**{sums['theirs'] / sums['ours']:.1f} ×**", f"{max(memory['theirs']) / 1000:.1f} GB",
         f"{max(memory['ours']) / 1000:.1f} GB", f"**{max(memory['theirs']) / max(memory['ours']):.1f} ×**"]
    )  # fmt: skip
    header = ["cell, plain head", "published way", "here", "faster", "memory, published way", "here", "less"]
    stages = list(ours(measured, keys[0], "plain", scored=True).parts)
    turns = [f"{len(below(measured, f'ways/{key}/ours/'))} ({_cell(key)})" for key in keys]
    blocks = [table_of(header, rows), f"Turns: {', '.join(turns)}.", *checks]
    blocks += ["Where the time goes here:", table_of(["cell", *stages], detail)]
    return "\n\n".join(blocks)


def floor_table(measured: Figures) -> str:
    """From archive to predictions against the least possible, by backbone and head."""
    rows = []
    for key in _keys(measured):
        busy = median(
            one["preprocess"]["busy_cores"] for one in below(measured, f"ways/{key}/ours/").values()
        )
        for head in HEADS:
            low, mine = least(measured, key, head), ours(measured, key, head, scored=False)
            alone = _pass_alone(measured, key)
            rows.append(
                [f"{_cell(key)}, {head}", duration(low.parts["backbone"]), duration(low.parts["fit"]),
                 duration(median(low.seconds)), duration(median(mine.seconds)),
                 f"{ratio(mine.seconds, low.seconds):.2f} ×", f"{alone:.2f} ×", f"{busy:.2f}"]
            )  # fmt: skip
    speed = measured["ways/memory"]["bytes_a_second"] / 1e9
    header = ["cell", "bare passes", "steps at memory's speed", "least", "here", "ratio",
              "the stage preprocess against bare passes", "cores busy in it"]  # fmt: skip
    return f"{table_of(header, rows)}\n\nMemory's speed: {speed:.1f} GB/s read and written."


def _pass_alone(measured: Figures, key: str) -> float:
    passes = least(measured, key, "plain").parts["backbone"]
    turns = below(measured, f"ways/{key}/ours/").values()
    return float(median(one["preprocess"]["wall_s"] for one in turns) / passes)


def in_a_sentence(measured: Figures) -> str:
    """The first comparison, for the first page."""
    keys = _keys(measured)
    theirs = [published(measured, key) for key in keys]
    mine = [ours(measured, key, "plain", scored=True) for key in keys]
    slow, fast = (sum(median(way.seconds) for way in ways) for ways in (theirs, mine))
    much, little = (max(way.mb for way in ways) / 1000 for ways in (theirs, mine))
    epochs = measured[f"ways/{keys[0]}/facts"]["epochs"]
    return (
        f"From the archives to the scores of the {len(keys)} plain cells with {epochs} epochs: "
        f"{duration(fast)} and {little:.1f} GB of memory, against {duration(slow)} and {much:.1f} GB by a "
        "notebook that passes each image through the backbone in each epoch "
        f"(**{slow / fast:.0f} times** as fast, extrapolated from a few epochs; [speed.md](docs/speed.md))."
    )


def _keys(measured: Figures) -> list[str]:
    return [key.split("/")[1] for key in measured if key.startswith("ways/") and key.endswith("/facts")]


def _cell(key: str) -> str:
    dataset, backbone = key.rsplit("-", 1)
    return f"{load_config(PARAMS).dataset(dataset).title}, {TITLES[backbone]}"
