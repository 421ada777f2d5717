"""A cell of the design: one classifier, measured on one split."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

PUBLISHED = "published"
"""The recipe of the paper, with which others are compared."""


@dataclass(frozen=True, order=True)
class Cell:
    """One classifier, by dataset, backbone, head and recipe, and the split it is measured on."""

    dataset: str
    backbone: str
    head: str
    recipe: str
    split: str

    @property
    def name(self) -> str:
        """The name in stages, files and runs, such as `iqoth-densenet121-attention-published-grouped`."""
        return f"{self.dataset}-{self.backbone}-{self.head}-{self.recipe}-{self.split}"

    @property
    def stage(self) -> str:
        """The stage that trains it: each recipe but the published one has its own part of the design."""
        return f"{'train' if self.recipe == PUBLISHED else f'train_{self.recipe}'}@{self.name}"

    @property
    def searched(self) -> str:
        """The name of what a search is about: the cell without recipe and split."""
        return f"{self.dataset}-{self.backbone}-{self.head}"


FACTORS = ("dataset", "backbone", "head", "recipe", "split")


def cell_of_arguments(description: str | None) -> Cell:
    """The cell that the command line of a stage names, `--dataset iqoth --backbone densenet121 …`.

    Args:
        description: What the stage does, for its help.
    """
    parser = argparse.ArgumentParser(description=description)
    for factor in FACTORS:
        parser.add_argument(f"--{factor}", required=True)
    return Cell(**vars(parser.parse_args()))


def design(
    datasets: Sequence[str],
    backbones: Sequence[str],
    heads: Sequence[str],
    recipes: Sequence[str],
    splits: Sequence[str],
) -> Iterator[Cell]:
    """Yields every combination of the factors, in their order."""
    for values in itertools.product(datasets, backbones, heads, recipes, splits):
        yield Cell(*values)
