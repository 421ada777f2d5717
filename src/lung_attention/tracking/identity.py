"""The identity of a run: by this, and by no stored id, it is found again."""

from __future__ import annotations

import colorsys
import hashlib
from dataclasses import asdict, dataclass

from lung_attention.cells import Cell

Fit = tuple[int, int]  # seed and fold; fold -1 is the refit on all images


@dataclass(frozen=True)
class RunIdentity:
    """The identity of a cell's run. Two runs of one stage with equal `inputs` are the same training.

    Attributes:
        experiment: `lung-attention/<profile>`.
        cell: The cell that is trained.
        inputs: SHA-256 (64 hexadecimal digits) over everything the training reads.
    """

    experiment: str
    cell: Cell
    inputs: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which people filter and by which the run is found again."""
        return {"kind": "cell", "stage": self.cell.stage, "inputs": self.inputs} | asdict(self.cell)

    @property
    def colour(self) -> str:
        """The run's colour in MLflow's charts, `#rrggbb`.

        MLflow picks one of a few by the run's id, so that two of six often look alike. Here the hue tells
        dataset and head, the lightness the backbone and, less, the recipe, the saturation the split.
        """
        cell = self.cell
        # The fewer the hues, the less two of them are alike.
        hue = _fraction(f"{cell.dataset}-{cell.head}")
        lightness = 0.28 + 0.3 * _fraction(cell.backbone) + 0.12 * _fraction(cell.recipe)
        saturation = 0.4 if cell.split == "grouped" else 0.85
        rgb = colorsys.hls_to_rgb(hue, lightness, saturation)
        return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def _fraction(name: str) -> float:
    """A number of [0, 1) that any name has, on every machine the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
