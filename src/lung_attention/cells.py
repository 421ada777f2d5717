"""A cell of the design: one classifier, measured on one split."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

# Ends the head of a cell that was trained with settings found by a search.
_TUNED = "_tuned"


@dataclass(frozen=True, order=True)
class Cell:
    """One classifier: a dataset, a backbone, a head and the split it is measured on."""

    dataset: str
    backbone: str
    head: str
    split: str

    @property
    def name(self) -> str:
        """The name in stages, files and runs, such as `iqoth-densenet121-attention-grouped`."""
        return f"{self.dataset}-{self.backbone}-{self.head}-{self.split}"

    @property
    def unsplit(self) -> str:
        """The name without the split, for what there is on one split only."""
        return f"{self.dataset}-{self.backbone}-{self.head}"

    @property
    def stage(self) -> str:
        """The DVC stage that trains this cell."""
        if self.head.endswith(_TUNED):
            return f"train_tuned@{self.default.unsplit}"
        return f"train@{self.name}"

    @property
    def tuned(self) -> Cell:
        """The same cell with the settings that a search found in place of those of the paper."""
        return replace(self, head=self.head + _TUNED)

    @property
    def default(self) -> Cell:
        """The cell that a tuned one is set beside."""
        return replace(self, head=self.head.removesuffix(_TUNED))


def design(
    datasets: Sequence[str], backbones: Sequence[str], heads: Sequence[str], splits: Sequence[str]
) -> Iterator[Cell]:
    """Yields every cell of the matrix, in the order of its factors."""
    for dataset, backbone, head, split in itertools.product(datasets, backbones, heads, splits):
        yield Cell(dataset, backbone, head, split)


def tuned_cells(datasets: Sequence[str], backbones: Sequence[str], heads: Sequence[str]) -> list[Cell]:
    """The cells that are trained with settings found by a search; there are such for the grouped split."""
    return [cell.tuned for cell in design(datasets, backbones, heads, ["grouped"])]
