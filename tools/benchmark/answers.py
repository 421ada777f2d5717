"""Answers of a saved Keras model or an exported one, image by image. The last line is a JSON object."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lung_attention.predict.inputs import find_inputs
from lung_attention.predict.pixels import read_pixels


def answer_of(model: Path) -> Callable[[Any], Any]:
    """A function from pixels to probabilities; only a `.keras` file needs TensorFlow."""
    if model.suffix == ".onnx":
        from lung_attention.predict.exported import ExportedModel

        exported = ExportedModel(model)
        return lambda pixels: exported.predict(pixels).probabilities

    from lung_attention.models.saved import open_model

    opened = open_model(model)
    return lambda pixels: np.asarray(opened.predict_on_batch(pixels[np.newaxis]))


def main() -> None:
    """Answers on images of an archive; the seconds an image leave the first few out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("archive", type=Path)
    parser.add_argument("images", type=int)
    arguments = parser.parse_args()
    answer = answer_of(arguments.model)
    times: list[float] = []
    for number, one in enumerate(islice(find_inputs([arguments.archive]), arguments.images)):
        answer(read_pixels(one.read(), None))
        if number == 0:
            print("first answer", flush=True)
        times.append(time.perf_counter())
    counted = times[len(times) // 8 :]
    print(json.dumps({"s_an_image": (counted[-1] - counted[0]) / (len(counted) - 1)}))


if __name__ == "__main__":
    main()
