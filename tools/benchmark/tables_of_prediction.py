"""The tables of predictions: how many images a second, and how long many of them take."""

from __future__ import annotations

from statistics import median

from .estimates import Figures, below, by_first
from .prediction import LIGHT
from .tables import TITLES, duration, megabytes, table_of


def prediction_table(measured: Figures) -> str:
    """Images a second and memory by engine and processors, the first answer, and the long run."""
    rows = []
    for (backbone, engine, used), found in _speeds(measured).items():
        rate = 1 / median(one["s_an_image"] for one in found)
        rows.append(
            [
                TITLES[backbone],
                engine,
                used,
                f"{rate:,.1f}",
                f"{max(one['rss_mb'] for one in found):,.0f} MB",
            ]
        )
    blocks = [table_of(["backbone", "engine", "cores", "images a second", "memory"], rows)]
    answers = ", ".join(
        f"{median(one['s'] for one in found):.1f} s with {engine}"
        for engine, found in by_first(measured, "prediction/first/").items()
    )
    blocks.append(f"From command to first answer ({TITLES[LIGHT]}): {answers}.")
    many = measured["prediction/many"]
    course = ", ".join(f"{mb:,.0f} MB at {percent} %" for percent, mb in many["own_mb_at"].items())
    blocks.append(
        f"`lung-attention predict` on {many['images']:,} files in folders, a network for small images: "
        f"{duration(many['wall_s'])}, {many['images'] / many['wall_s']:,.0f} images a second; "
        f"memory {course} of the run, {megabytes(many['own_mb'])} at most."
    )
    return "\n\n".join(blocks)


def rates_table(measured: Figures) -> str:
    """How long many images take, by the rates measured."""
    speeds = {
        (backbone, int(used)): 1 / median(one["s_an_image"] for one in found)
        for (backbone, engine, used), found in _speeds(measured).items()
        if engine == "ONNX Runtime"
    }
    most = max(used for _, used in speeds)
    backbones = [backbone for backbone, used in speeds if used == most]
    header = ["images", *(f"{TITLES[one]}, {most} cores" for one in backbones)]
    header += [f"{TITLES[one]}, cores for a day" for one in backbones]
    rows = []
    for power in (4, 6, 8):
        each = [10**power / speeds[one, most] for one in backbones]
        need = [max(1, round(10**power / speeds[one, 1] / 86400 + 0.5)) for one in backbones]
        rows.append([f"10{'⁴⁶⁸'[power // 2 - 2]}", *map(duration, each), *(f"{one:,}" for one in need)])
    return table_of(header, rows)


def _speeds(measured: Figures) -> dict[tuple[str, str, str], list[Figures]]:
    found: dict[tuple[str, str, str], list[Figures]] = {}
    for key, one in below(measured, "prediction/speed/").items():
        backbone, engine, used, _ = key.split("/")
        found.setdefault((backbone, engine, used), []).append(one)
    return found
