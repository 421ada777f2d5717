"""The least that the work can take: each image through the backbone once, and each step at memory's speed.

As a script, measures the first: the bare forward pass in a graph of TensorFlow, of pixels that lie in memory
as the backbone takes them. The last line on the output is a JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np

# Of the published head's first layer, and what a step of Adam moves for each weight (`step_bytes`).
FIRST_UNITS, BYTES_A_WEIGHT = 256, 36
_POSITIONS = {224: (7, 7), 128: (4, 4), 64: (2, 2), 32: (1, 1)}
_CHANNELS = {"mobilenetv2": 1280, "densenet121": 1024}


def forward(backbone: str, weights: Path | None, *, size_px: int, batch_size: int, batches: int) -> float:
    """Seconds an image of the bare forward pass, the median over batches; two more build the graph.

    Args:
        backbone: A key of `BACKBONES`.
        weights: Its weight file; None for random ones.
        size_px: Side of its input.
        batch_size: Images a pass.
        batches: How many are counted.
    """
    import tensorflow as tf

    from lung_attention.models.backbones import build_backbone

    network = build_backbone(backbone, size_px, weights=weights)
    bare = tf.function(lambda x: network(x, training=False))
    random = np.random.default_rng(0)
    pixels = tf.constant(random.random((batch_size, size_px, size_px, 3), dtype=np.float32))
    times = []
    for _ in range(batches + 2):
        started = time.perf_counter()
        bare(pixels).numpy()
        times.append(time.perf_counter() - started)
    return median(times[2:]) / batch_size


def step_bytes(
    head: str, backbone: str, size_px: int, n_classes: int, *, batch_size: int, attention_maps: int
) -> int:
    """Bytes that one step of Adam cannot but move, for the published head.

    A weight is read in the forward pass; its gradient is written, and read again; Adam reads the weight and
    its two moments and writes all three: 9 · 4 bytes. Before attention a gradient has to pass the first dense
    layer, which reads its weights once more. Features of the batch are read twice, in half precision.
    Activations behind the first layer are small and left out.

    Args:
        head: `plain` or `attention`.
        backbone: The backbone.
        size_px: Side of its input.
        n_classes: Number of classes.
        batch_size: Images of a step.
        attention_maps: Of the head with attention.
    """
    rows, cols = _POSITIONS[size_px]
    channels = _CHANNELS[backbone]
    flat = rows * cols * channels
    first = flat * FIRST_UNITS
    weights = first + FIRST_UNITS + FIRST_UNITS * 32 + 32 + 32 * n_classes + n_classes
    further = 0
    if head == "attention":
        weights += 9 * channels * attention_maps + attention_maps + 1
        further = 4 * first
    return BYTES_A_WEIGHT * weights + further + 2 * 2 * batch_size * flat


def main() -> None:
    """Measures the forward pass that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--weights", type=Path)
    for name in ("size-px", "batch-size", "batches"):
        parser.add_argument(f"--{name}", type=int, required=True)
    found = forward(**vars(parser.parse_args()))
    print(json.dumps({"s_an_image": found}))


if __name__ == "__main__":
    main()
