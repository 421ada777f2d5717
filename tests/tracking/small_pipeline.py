"""A pipeline of three small cells, as a process of its own: trains each, then completes its run.

    python small_pipeline.py ROOT GATE

It starts when the file GATE is there, so that two of them begin together.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pandas as pd

from lung_attention import tracking
from lung_attention.tracking import Content, RunIdentity

NAMES = (
    "iqoth-mobilenetv2-plain-grouped",
    "iqoth-densenet121-plain-grouped",
    "lidc-densenet121-plain-grouped",
)
FOLDS, EPOCHS = 2, 3


def identity_of(name: str) -> RunIdentity:
    dataset, backbone, head, split = name.split("-")
    return RunIdentity(
        "lung-attention/sample", name, f"train@{name}", "5e" * 32, dataset, backbone, head, split
    )


def run_pipeline(root: Path) -> None:
    tracking.connect(root)
    files = root / "predictions.csv"
    files.write_text("image,label\na.png,normal\n")
    for name in NAMES:
        rows = [
            {"seed": 0, "fold": fold, "epoch": epoch, "loss": 1 / (fold + epoch)}
            for fold in range(FOLDS)
            for epoch in range(1, EPOCHS + 1)
        ]
        with tracking.live_run(identity_of(name), {"epochs": EPOCHS}, device="cpu") as logger:
            for row in rows:
                logger.epoch(int(row["seed"]), int(row["fold"]), int(row["epoch"]), {"loss": row["loss"]})
                time.sleep(0.1)
        content = Content(
            params={"epochs": EPOCHS},
            history=pd.DataFrame(rows),
            metrics={"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6},
            draw=dict,
            files=[files],
            classes=("normal", "benign"),
            device="cpu",
        )
        print(tracking.publish(identity_of(name), content), flush=True)


if __name__ == "__main__":
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    run_pipeline(Path(sys.argv[1]))
