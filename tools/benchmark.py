"""Speed and memory of the two long steps: one pass of a backbone, and the fits of heads.

Each measurement has a process of its own, so that none inherits another's memory. Images and features are
random: neither speed nor memory depends on what they show.

    python tools/benchmark.py     # measures, and writes docs/speed.md
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lung_attention.config import load_config
from lung_attention.errors import UserError, run_guarded
from lung_attention.files import write_text
from lung_attention.images.view import View
from lung_attention.paths import PARAMS
from lung_attention.report.regions import replace_region
from lung_attention.training.recipe import Recipe, recipe_from_json

BATCH_SIZE = 32
# A fit of 100 steps or more; the epoch that compiles is not counted.
_STEPS, _EPOCHS = 30, 4

Shape = tuple[int, int, int]


def anonymous_mb() -> float:
    """Memory of this process without mapped files, which the system takes back when it needs to.

    Returns:
        MB (10^6 bytes); NaN where the system does not tell.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024 / 1e6


def measure_fit(recipe: Recipe, shape: Shape, rows: int, *, head: str) -> dict[str, float]:
    """Fits a head on random features in a memory-mapped file.

    Args:
        recipe: How the head is built; how long it is fitted is not taken from here.
        shape: Of one image's features: rows, cols, channels.
        rows: How many images lie in the file; each epoch takes `_STEPS` batches of them.
        head: Name of the head.

    Returns:
        `ms` a step of `BATCH_SIZE` images, the fastest epoch's, and `mb` of memory at the end of an epoch,
        the largest.
    """
    from lung_attention.training.fits import CompiledHead
    from lung_attention.training.fitting import fit_head

    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(rows, *shape))
        for row in range(rows):
            features[row] = random.random(shape, dtype=np.float32)
        features.flush()
        timed = replace(recipe, jit_compile=True, epochs=_EPOCHS, batch_size=BATCH_SIZE)
        fitted = CompiledHead(head, shape, 3).start(timed, seed=0)
        ends, memory = [], []

        def note(_epoch: int, _values: dict[str, float]) -> None:
            ends.append(time.perf_counter())
            memory.append(anonymous_mb())

        fit_head(
            fitted,
            np.load(path, mmap_mode="r"),
            random.integers(3, size=rows),
            train=random.choice(rows, size=_STEPS * BATCH_SIZE),
            validation=np.array([], dtype=np.int64),
            recipe=timed,
            seed=0,
            on_epoch=note,
        )
    return {"ms": 1000 * float(np.diff(ends).min()) / _STEPS, "mb": max(memory)}


def measure_extraction(backbone: str, size_px: int, images: int) -> dict[str, float]:
    """Passes random images through a backbone with random weights, into a memory-mapped file.

    Args:
        backbone: Name of the backbone.
        size_px: Side of its input; the images have twice the side.
        images: How many.

    Returns:
        `ms` an image, decoding left out, and `mb` of memory while the last image is handed out.
    """
    from lung_attention.models.backbones import build_backbone
    from lung_attention.models.classifier import build_preprocessing
    from lung_attention.models.features import extract_features

    random = np.random.default_rng(0)
    pixels = random.integers(256, size=(2 * size_px, 2 * size_px, 3), dtype=np.uint8)
    times, memory = [], []

    def stream() -> Any:
        for _ in range(images):
            times.append(time.perf_counter())
            yield pixels
        memory.append(anonymous_mb())

    with tempfile.TemporaryDirectory() as folder:
        extract_features(
            stream(),
            [str(number) for number in range(images)],
            preprocessing=build_preprocessing(
                backbone, View(None, "bilinear", antialias=False, standardise=False), size_px
            ),
            backbone=build_backbone(backbone, size_px),
            batch_size=BATCH_SIZE,
            path=Path(folder) / "features.npy",
            info_path=Path(folder) / "features.json",
            info={},
        )
    # The first two batches build graphs.
    counted = times[2 * BATCH_SIZE :]
    return {"ms": 1000 * (counted[-1] - counted[0]) / (len(counted) - 1), "mb": memory[0]}


def benchmark(recipe: Recipe, *, tell: Callable[[str], None]) -> str:
    """Measures everything.

    Args:
        recipe: How heads are built.
        tell: Receives a line before each measurement.

    Returns:
        Markdown: the machine, and a table.
    """
    lines = [
        f"{_machine()}; Python {platform.python_version()}, TensorFlow {version('tensorflow')}.",
        "",
        "| measured | on | time | memory |",
        "|---|---|--:|--:|",
    ]
    library = ctypes.util.find_library("tcmalloc_minimal")
    for backbone in ("mobilenetv2", "densenet121"):
        for images in (192, 768):
            lines.append(
                _row(
                    f"backbone `{backbone}`, {images} images",
                    "224 px",
                    _measured(tell, ["extraction", backbone, "224", str(images)], recipe),
                    "an image",
                )
            )
    for shape in ((4, 4, 1024), (7, 7, 1024)):
        on = " × ".join(str(part) for part in shape)
        for head in ("plain", "attention"):
            for rows in (1000, 4000) if head == "plain" else (1000,):
                call = ["fit", *(str(part) for part in shape), str(rows), head]
                name = f"fit, {head} head, {rows:,} images"
                lines.append(_row(name, on, _measured(tell, call, recipe), f"a step of {BATCH_SIZE}"))
                if library and rows == 1000:
                    found = _measured(tell, call, recipe, preload=library)
                    lines.append(_row("the same with tcmalloc", on, found, f"a step of {BATCH_SIZE}"))
    return "\n".join(lines)


def _row(name: str, on: str, found: dict[str, float], unit: str) -> str:
    return f"| {name} | {on} | {found['ms']:.1f} ms {unit} | {found['mb']:,.0f} MB |"


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    text = info.read_text(encoding="utf-8") if info.exists() else ""
    names = [line.split(":")[1].strip() for line in text.splitlines() if "model name" in line]
    cores = os.cpu_count() or 1
    return f"{names[0] if names else platform.machine()}, {cores} core{'s' if cores > 1 else ''}"


def _measured(
    tell: Callable[[str], None], call: Sequence[str], recipe: Recipe, *, preload: str | None = None
) -> dict[str, float]:
    tell(" ".join([*call, preload or ""]).strip())
    environment = os.environ | ({"LD_PRELOAD": preload} if preload else {})
    done = subprocess.run(
        [sys.executable, __file__, "--recipe", json.dumps(recipe.as_json()), *call],
        env=environment, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise UserError(f"the measurement {' '.join(call)} failed", remedy="its last lines above say why")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    """Measures everything and writes the page of the numbers, or takes the one measurement that is named."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--page", type=Path, default=Path("docs/speed.md"), metavar="FILE")
    parser.add_argument("--recipe", help="of the one measurement, as JSON")
    parser.add_argument("call", nargs="*", help="the one measurement")
    arguments = parser.parse_args()
    if not arguments.call:
        recipe = load_config(PARAMS).profiles["local"].train.recipe
        page = arguments.page.read_text(encoding="utf-8")
        write_text(arguments.page, replace_region(page, "benchmark", benchmark(recipe, tell=print)))
        return
    recipe = recipe_from_json(json.loads(arguments.recipe))
    kind, *rest = arguments.call
    if kind == "extraction":
        found = measure_extraction(rest[0], int(rest[1]), int(rest[2]))
    else:
        rows, cols, channels, images = (int(part) for part in rest[:4])
        found = measure_fit(recipe, (rows, cols, channels), images, head=rest[4])
    print(json.dumps(found))


if __name__ == "__main__":
    run_guarded(main)
