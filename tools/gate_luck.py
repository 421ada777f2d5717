"""How far trainings of the same code scatter, for `training_sd` in the parameters of the gate.

python tools/gate_luck.py                         # of committed cells with several seeds, into docs/gate.md
python tools/gate_luck.py artifacts/luck/cells    # of other cells, printed; assumed is what `local` assumes
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lung_attention.config import TrainingSd, load_config
from lung_attention.errors import UserError, run_guarded
from lung_attention.evaluation.predictions import Predictions, predictions_to_arrays
from lung_attention.evaluation.weighted import Floats
from lung_attention.files import read_table, write_text
from lung_attention.gate.chance import seed_excess
from lung_attention.paths import PARAMS
from lung_attention.report.regions import replace_region
from lung_attention.workflow.temporary import profile_of

PROFILE = "local"
COMMITTED = Path(f"results/{PROFILE}/cells")
PAGE = Path("docs/gate.md")


@dataclass(frozen=True)
class Scatter:
    """How the trainings of one dataset scatter.

    Attributes:
        dataset: Its name.
        cells: Cells with several seeds.
        pairs: Pairs of seeds in them.
        balanced_accuracy: Standard deviation of one training, beyond what independent clusters explain.
        log_loss: Likewise.
        disagreement: Share of images that two trainings decide otherwise.
    """

    dataset: str
    cells: int
    pairs: int
    balanced_accuracy: float
    log_loss: float
    disagreement: float


def scatter(cells: Mapping[str, Predictions]) -> list[Scatter]:
    """Averages over the cells of each dataset, each cell with the same weight.

    Args:
        cells: Predictions, by the cell's name, which begins with its dataset's.
    """
    found: dict[str, list[tuple[int, Floats, float]]] = {}
    for name, side in sorted(cells.items()):
        if len(side.seeds) < 2 or (side.folds != side.folds[0]).any():
            continue  # one seed says nothing, and seeds with partitions of their own are no repetitions
        excess, decided = seed_excess(side), side.predicted
        different = [float((decided[a] != decided[b]).mean()) for a in range(len(decided)) for b in range(a)]
        entry = (excess.shape[1], excess.mean(axis=1), float(np.mean(different)))
        found.setdefault(name.split("-")[0], []).append(entry)
    return [
        Scatter(
            dataset,
            len(entries),
            sum(pairs for pairs, _, _ in entries),
            _root(np.mean([excess[0] for _, excess, _ in entries])),
            _root(np.mean([excess[1] for _, excess, _ in entries])),
            float(np.mean([different for _, _, different in entries])),
        )
        for dataset, entries in found.items()
    ]


def read_cells(folder: Path, labels: Mapping[str, Sequence[str]]) -> dict[str, Predictions]:
    """The predictions below a folder.

    Raises:
        UserError: There are none.
    """
    paths = sorted(folder.glob("*/predictions.csv"))
    if not paths:
        raise UserError(f"{folder}: expected */predictions.csv, found none", remedy=str(COMMITTED))
    cells = {}
    for path in paths:
        classes = labels[path.parent.name.split("-")[0]]
        cells[path.parent.name] = predictions_to_arrays(read_table(path), classes)
    return cells


def to_markdown(found: Sequence[Scatter], assumed: Mapping[str, TrainingSd]) -> str:
    """The table of docs/gate.md.

    Args:
        found: What trainings show.
        assumed: What the gate takes for one training's luck, by dataset.
    """
    lines = [
        "| dataset | cells, pairs of seeds | balanced accuracy (points): seen | assumed "
        "| log loss (nats): seen | assumed | images that two trainings decide otherwise |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for item in found:
        sd = assumed[item.dataset]
        lines.append(
            f"| {item.dataset} | {item.cells}, {item.pairs} | {100 * item.balanced_accuracy:.1f} "
            f"| {100 * sd.balanced_accuracy:.1f} | {item.log_loss:.3f} | {sd.log_loss:.3f} "
            f"| {100 * item.disagreement:.1f} % |"
        )
    return "\n".join(lines)


def _root(variance: float | np.floating) -> float:
    return math.sqrt(max(0.0, float(variance)))


def main() -> None:
    """Writes how committed trainings scatter into the gate's page, or prints it of other cells."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help=f"with a folder a cell; default: {COMMITTED}")
    folder = parser.parse_args().folder
    config = load_config(PARAMS)
    found = scatter(read_cells(folder or COMMITTED, config.labels))
    settings = profile_of(config, PROFILE)
    assumed = {item.dataset: settings.training_sd(config.catalog[item.dataset]) for item in found}
    table = to_markdown(found, assumed)
    if folder:
        print(table)
    else:
        write_text(PAGE, replace_region(PAGE.read_text(encoding="utf-8"), "gate-luck", table))


if __name__ == "__main__":
    run_guarded(main)
