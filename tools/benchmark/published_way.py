"""How published notebooks work, written anew: all images in memory, the whole network in `fit`.

Every image is decoded and resized into one array, divided by 255 (which makes float64 of it), and split into
further arrays; a model of frozen backbone and dense layers is fitted on them, so that each image passes the
backbone in each epoch. The last line on the output is a JSON object of seconds.
"""

from __future__ import annotations

import argparse
import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from lung_attention.files import read_table

Floats = npt.NDArray[np.float64]


def load(archive: Path, images: list[str], size_px: int) -> Floats:
    """All images as one array, float64 `(n, size_px, size_px, 3)` in [0, 1]."""
    pixels = []
    with zipfile.ZipFile(archive) as opened:
        for name in images:
            with Image.open(io.BytesIO(opened.read(name))) as image:
                shown = image.convert("RGB").resize((size_px, size_px), Image.Resampling.BILINEAR)
                pixels.append(np.asarray(shown))
    array = np.array(pixels)
    del pixels  # a notebook would keep it
    return array / 255.0


def run(
    archive: Path,
    split: Path,
    weights: Path | None,
    *,
    backbone: str,
    size_px: int,
    learning_rate: float,
    batch_size: int,
    images: int,
    epochs: int,
    steps: int | None,
) -> dict[str, Any]:
    """Fits and tests a classifier.

    Args:
        archive: The zip of the images.
        split: The table of subsets.
        weights: Of the backbone; None for random ones.
        backbone: `mobilenetv2` or `densenet121`.
        size_px: Side of its input.
        learning_rate: Of Adam.
        batch_size: Images of a step.
        images: How many of the table's rows are used, evenly spaced.
        epochs: Of the fit.
        steps: Of an epoch; None for all. A few suffice where memory is what is measured.

    Returns:
        Seconds: `load`, `epochs` one by one, `test`; and the number of images of each subset.
    """
    started = time.perf_counter()
    table = read_table(split)
    table = table.iloc[np.linspace(0, len(table) - 1, min(images, len(table))).astype(int)]
    x = load(archive, table["image"].tolist(), size_px)
    y = np.unique(table["label"].to_numpy(dtype=str), return_inverse=True)[1]
    rows = {name: np.flatnonzero(table["subset"] == name) for name in ("train", "validation", "test")}
    # As in the published code, the test images are watched where there are no others.
    rows["validation"] = rows["validation"] if len(rows["validation"]) else rows["test"]
    parts = {name: (x[chosen], y[chosen]) for name, chosen in rows.items()}
    loaded = time.perf_counter()

    import keras

    application = {"mobilenetv2": "MobileNetV2", "densenet121": "DenseNet121"}[backbone]
    network = getattr(keras.applications, application)(
        include_top=False, weights=None, input_shape=(size_px, size_px, 3)
    )
    if weights is not None:
        network.load_weights(weights)
    network.trainable = False
    model = keras.Sequential(
        [
            network,
            keras.layers.Flatten(),
            keras.layers.Dense(256, activation="relu"),
            keras.layers.Dense(32, activation="relu"),
            keras.layers.Dense(int(y.max()) + 1, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    ends: list[float] = []

    class Note(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            ends.append(time.perf_counter())

    begun = time.perf_counter()
    model.fit(
        *parts["train"],
        validation_data=parts["validation"],
        batch_size=batch_size,
        epochs=epochs,
        steps_per_epoch=steps,
        validation_steps=steps,
        verbose=0,
        callbacks=[Note()],
    )
    fitted = time.perf_counter()
    model.predict(parts["test"][0][: batch_size * steps if steps else None], batch_size=batch_size, verbose=0)
    return {
        "load": loaded - started,
        "epochs": np.diff([begun, *ends]).tolist(),
        "test": time.perf_counter() - fitted,
        "images": {name: len(chosen) for name, chosen in rows.items()},
    }


def main() -> None:
    """Runs it as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("archive", "split", "weights"):
        parser.add_argument(f"--{name}", type=Path, required=name != "weights")
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--learning-rate", type=float, required=True)
    for name in ("size-px", "batch-size", "images", "epochs"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--steps", type=int)
    print(json.dumps(run(**vars(parser.parse_args()))))


if __name__ == "__main__":
    main()
