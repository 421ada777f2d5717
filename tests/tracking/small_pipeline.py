"""A pipeline of three small cells, as a process of its own: trains each, then completes its run.

    python small_pipeline.py FOLDER GATE

It works in FOLDER, and starts when the file GATE is there, so that two of them begin together.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pandas as pd
from cell_files import PARAMS, copy_configuration, curve, publish

from lung_attention import tracking
from lung_attention.cells import Cell
from lung_attention.plots import figures
from lung_attention.tracking import RunIdentity

CELLS = (
    Cell("iqoth", "mobilenetv2", "plain", "published", "grouped"),
    Cell("iqoth", "densenet121", "plain", "published", "grouped"),
    Cell("lidc_nodules", "densenet121", "plain", "published", "grouped"),
)
FOLDS, EPOCHS = 2, 3


def run_pipeline(folder: Path) -> None:
    os.chdir(folder)
    copy_configuration(folder)
    tracking.connect(folder)
    figures.cell_figures = lambda *_: {}  # the real ones take seconds
    for cell in CELLS:
        identity = RunIdentity("lung-attention/sample", cell, "5e" * 32)
        history = pd.concat([curve(EPOCHS, fold=fold) for fold in range(FOLDS)])
        with tracking.live_run(identity, PARAMS, device="cpu") as logger:
            for row in history.to_dict("records"):
                logger.epoch(row["seed"], row["fold"], row["epoch"], {"loss": row["loss"]})
                time.sleep(0.1)
        print(publish(identity, history), flush=True)


if __name__ == "__main__":
    while not Path(sys.argv[2]).exists():
        time.sleep(0.01)
    run_pipeline(Path(sys.argv[1]))
