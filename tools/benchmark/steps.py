"""The two long steps by themselves: one pass of a backbone, and the steps of a fit, also with tcmalloc.

As a script, takes the one measurement that it is given; images and features are random. The last line on the
output is a JSON object.
"""

from __future__ import annotations

import argparse
import ctypes.util
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from lung_attention.config import load_config
from lung_attention.images.view import View
from lung_attention.paths import PARAMS
from lung_attention.training.recipe import Recipe

from .store import Store
from .watch import child, watch
from .workspace import ROOT

BATCH_SIZE = 32
# A fit of 100 steps or more; the epoch that compiles is not counted.
_STEPS, _EPOCHS = 30, 4

Shape = tuple[int, int, int]

FULL: list[tuple[str, ...]] = [
    *(("extraction", *one) for one in product(("mobilenetv2", "densenet121"), ("224",), ("192", "768"))),
    *(
        ("fit", side, side, "1024", rows, head)
        for side in ("4", "7")
        for head, rows in (("plain", "1000"), ("plain", "4000"), ("attention", "1000"))
    ),
    *(("products", side, side, "1024") for side in ("4", "7")),
]
QUICK: list[tuple[str, ...]] = [("fit", "2", "2", "8", "64", "plain"), ("products", "2", "2", "8")]


def measure_fit(recipe: Recipe, shape: Shape, rows: int, *, head: str) -> dict[str, float]:
    """Fits a head on random features in a memory-mapped file.

    Args:
        recipe: How the head is built; how long it is fitted is not taken from here.
        shape: Of one image's features: rows, cols, channels.
        rows: How many images lie in the file; each epoch takes `_STEPS` batches of them.
        head: Name of the head.

    Returns:
        `ms` a step of `BATCH_SIZE` images, the fastest epoch's.
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
        fitted = CompiledHead(head, 3).start(timed, shape, seed=0)
        ends: list[float] = []
        fit_head(
            fitted,
            np.load(path, mmap_mode="r"),
            random.integers(3, size=rows),
            train=random.choice(rows, size=_STEPS * BATCH_SIZE),
            validation=np.array([], dtype=np.int64),
            recipe=timed,
            seed=0,
            on_epoch=lambda *_: ends.append(time.perf_counter()),
        )
    return {"ms": 1000 * float(np.diff(ends).min()) / _STEPS}


def measure_products(shape: Shape) -> dict[str, float]:
    """The two products of matrices in a step's first layer: its outputs, and the gradient of its weights.

    Args:
        shape: Of one image's features: rows, cols, channels.

    Returns:
        `ms` of both on `BATCH_SIZE` images, the fastest of some.
    """
    import tensorflow as tf

    inputs, units = int(np.prod(shape)), load_config(PARAMS).profiles["local"].train.recipe.hidden_units[0]
    features, weights = tf.random.normal((BATCH_SIZE, inputs)), tf.random.normal((inputs, units))

    both = tf.function(lambda: tf.matmul(features, tf.matmul(features, weights), transpose_a=True))
    times = []
    for _ in range(_STEPS):
        started = time.perf_counter()
        both().numpy()
        times.append(time.perf_counter() - started)
    return {"ms": 1000 * min(times)}


def measure_extraction(backbone: str, size_px: int, images: int) -> dict[str, float]:
    """Passes random images through a backbone with random weights, into a memory-mapped file.

    Args:
        backbone: Name of the backbone.
        size_px: Side of its input; the images have twice the side.
        images: How many.

    Returns:
        `ms` an image, decoding left out.
    """
    from lung_attention.models.backbones import build_backbone
    from lung_attention.models.classifier import build_preprocessing
    from lung_attention.models.features import extract_features

    random = np.random.default_rng(0)
    pixels = random.integers(256, size=(2 * size_px, 2 * size_px, 3), dtype=np.uint8)
    times: list[float] = []

    def stream() -> Any:
        for _ in range(images):
            times.append(time.perf_counter())
            yield pixels

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
    return {"ms": 1000 * (counted[-1] - counted[0]) / (len(counted) - 1)}


def measure_steps(store: Store, calls: Sequence[Sequence[str]]) -> None:
    """Takes the measurements, of fits with tcmalloc as well where it is installed.

    Args:
        store: Receives the figures, under `steps/`.
        calls: What is measured, as arguments of this script.
    """
    library = ctypes.util.find_library("tcmalloc_minimal")
    for call in calls:
        for preload in (None, library) if library and call[0] == "fit" else (None,):

            def measure(call: Sequence[str] = call, preload: str | None = preload) -> dict[str, Any]:
                command, environment = child("steps", *call)
                environment |= {"LD_PRELOAD": preload} if preload else {}
                seen = watch(command, cwd=ROOT, environment=environment)
                return {**seen.as_json(), **seen.said()}

            store.once(f"steps/{' '.join(call)}{'/tcmalloc' if preload else ''}", measure)


def main() -> None:
    """Takes the one measurement that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("call", nargs="+")
    kind, *rest = parser.parse_args().call
    if kind == "extraction":
        found = measure_extraction(rest[0], int(rest[1]), int(rest[2]))
    else:
        rows, cols, channels, *images = (int(part) for part in rest[:4])
        shape = (rows, cols, channels)
        recipe = load_config(PARAMS).profiles["local"].train.recipe
        found = measure_fit(recipe, shape, images[0], head=rest[4]) if images else measure_products(shape)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
