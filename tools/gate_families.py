"""Families of classifiers as they are committed, of which as many can be trained as one likes.

Number of cells, test images, their clusters and classes, seeds, and how good each classifier is come from the
committed predictions of a profile. A simulated classifier gives each image a number for each class; the
probabilities are their softmax. The number is the sum of a signal for the true class; of what is hard about
the image and its cluster, in part common to all cells of a dataset, the same in every training; and of what
one training does to the image, to its cluster and to a whole class. Each training has its luck, as large as
the gate assumes: a signal that is a little stronger or weaker, and probabilities that are a little too sure.
A loss is planted as a weaker signal, so that it strikes where a classifier is unsure, as losses do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from lung_attention.cells import Cell
from lung_attention.evaluation.predictions import Predictions, predictions_to_arrays
from lung_attention.evaluation.weighted import Floats, Integers
from lung_attention.files import read_table
from lung_attention.gate.chance import Luck
from lung_attention.gate.pairing import Pair
from lung_attention.gate.run import cells_with_predictions
from lung_attention.gate.scores import mean_scores
from lung_attention.paths import Paths

# Deviations, in those of an image's own difficulty. With these an equal re-run decides 6 to 7 % of nodule
# crops otherwise, as real ones do.
_SHARED = 0.7  # what of an image's difficulty is that of all cells of its dataset
_CLUSTER_SD = 0.8  # what images of a cluster have in common, whoever is trained
_TRAINING_IMAGE_SD = 0.2
_TRAINING_CLUSTER_SD = 0.15
_TRAINING_CLASS_SD = 0.05

_DRAWS = 10_000
_STEP = 0.05
_SCALES = np.geomspace(0.05, 40, 50)
_PERFECT = 0.5
_LARGEST_LUCK = 0.4  # where scores hardly depend on it, as near perfection


@dataclass(frozen=True)
class Trained:
    """One cell, and how its trainings are drawn.

    Attributes:
        committed: Its committed predictions.
        balanced_accuracy: 0..1, before any loss.
        luck: Of one training.
        confidence_sd: The part of its log loss that does not come with the decisions.
        log_losses: `(scales,)` ascending log losses with each of `scales`.
        scales: `(scales,)` of the numbers before the softmax, from the one that suits the decisions upwards.
        log_loss: The committed one.
    """

    committed: Predictions
    balanced_accuracy: float
    luck: float
    confidence_sd: float
    log_losses: Floats
    scales: Floats
    log_loss: float

    def scale(self, luck: float) -> float:
        """The scale that raises the log loss by so many standard deviations of a training's confidence.

        The deviation is normal in the log loss, as the gate assumes it; in the scale it would be skewed.
        """
        return float(np.interp(self.log_loss + self.confidence_sd * luck, self.log_losses, self.scales))

    def signal(self, hard: Floats, loss: float) -> float:
        """The signal that gives the committed balanced accuracy, less a loss, on `(n, c)` images.

        Test images are given once and for all. New ones on which the classifier is by chance near its floor
        would let the floor be blamed for what it never meets.
        """
        labels = self.committed.labels
        own = hard[np.arange(len(labels)), labels]
        others = hard.copy()
        others[np.arange(len(labels)), labels] = -np.inf
        needed = others.max(axis=1) - own
        support = np.bincount(labels)
        order = np.argsort(needed)
        reached = np.cumsum(1 / (len(support) * support[labels[order]]))
        k = int(np.searchsorted(reached, self.balanced_accuracy - loss))
        if k + 1 >= len(needed):  # without an error: as far from the next as images of this class are
            return float(needed[order[-1]] + _PERFECT)
        return float(needed[order[k : k + 2]].mean())


@dataclass(frozen=True)
class _Drawn(Predictions):
    """Predictions that know their clusters, which are the same in every draw."""

    known: tuple[Integers, int]

    def clusters(self) -> tuple[Integers, int]:
        return self.known


class Family:
    """Draws candidates and references of all cells of a profile.

    Args:
        cells: Committed predictions, by the cell's name, which begins with its dataset's.
        luck: Of one training of each cell, as the gate assumes it.
        seed: Of everything drawn.
        luckier: By how much trainings are luckier than assumed.
    """

    def __init__(
        self,
        cells: Mapping[str, Predictions],
        luck: Mapping[str, Luck],
        *,
        seed: int | Sequence[int],
        luckier: float = 1.0,
    ) -> None:
        self._random = np.random.default_rng(seed)
        self.cells = {name: self._trained_as(side, luck[name], luckier) for name, side in cells.items()}
        self.datasets = {name: name.split("-")[0] for name in cells}
        self._images: dict[str, NDArray[np.str_]] = {}
        self._places = {}
        for dataset in sorted(set(self.datasets.values())):
            sides = [side for name, side in cells.items() if self.datasets[name] == dataset]
            images = np.unique(np.concatenate([side.images for side in sides]).astype(str))
            self._images[dataset] = images
        for name, side in cells.items():
            self._places[name] = np.searchsorted(self._images[self.datasets[name]], side.images.astype(str))
        self._codes = {name: side.clusters() for name, side in cells.items()}

    def pairs(self, losses: Mapping[str, float]) -> dict[str, Pair]:
        """New images, references of them, and candidates that are worse by losses of balanced accuracy.

        Args:
            losses: Of each cell that is wanted.
        """
        classes = {self.datasets[name]: len(self.cells[name].committed.classes) for name in losses}
        shared = {dataset: self._draw(len(self._images[dataset]), c) for dataset, c in classes.items()}
        pairs = {}
        for name, loss in losses.items():
            side = self.cells[name].committed
            codes, n_clusters = self._codes[name]
            common = shared[self.datasets[name]][self._places[name]]
            hard = np.sqrt(_SHARED) * common + np.sqrt(1 - _SHARED) * self._draw(*common.shape)
            if n_clusters < len(codes):
                hard += _CLUSTER_SD * self._draw(n_clusters, len(side.classes))[codes]
            pairs[name] = Pair(self._train(name, hard, loss), self._train(name, hard, 0.0))
        return pairs

    def _train(self, name: str, hard: Floats, loss: float) -> Predictions:
        cell = self.cells[name]
        side = cell.committed
        codes, n_clusters = self._codes[name]
        probabilities = np.empty((len(side.seeds), *hard.shape))
        for of_seed in probabilities:
            numbers = hard + _TRAINING_IMAGE_SD * self._draw(*hard.shape)
            if n_clusters < len(codes):
                numbers += _TRAINING_CLUSTER_SD * self._draw(n_clusters, hard.shape[1])[codes]
            numbers += _TRAINING_CLASS_SD * self._draw(1, hard.shape[1])
            of_decisions, of_confidence = self._draw(2, 1).ravel()
            signal = cell.signal(hard, loss - cell.luck * of_decisions)
            numbers[np.arange(len(codes)), side.labels] += signal
            of_seed[:] = softmax(cell.scale(of_confidence) * numbers, axis=1)
        shape = {field.name: getattr(side, field.name) for field in fields(side)}
        return _Drawn(**(shape | {"probabilities": probabilities}), known=self._codes[name])

    def _trained_as(self, side: Predictions, luck: Luck, luckier: float) -> Trained:
        """Finds signal, scale and their luck that give the committed scores and the assumed luck."""
        c, scores = len(side.classes), mean_scores(side)
        clustered = side.clusters()[1] < len(side.labels)
        of_cluster = _CLUSTER_SD**2 + _TRAINING_CLUSTER_SD**2 if clustered else 0.0
        noise = self._draw(_DRAWS, c) * np.sqrt(
            1 + of_cluster + _TRAINING_IMAGE_SD**2 + _TRAINING_CLASS_SD**2
        )  # fmt: skip
        needed = np.sort(noise[:, 1:].max(axis=1) - noise[:, 0])
        share = min(scores["balanced_accuracy"], 1 - 1 / len(side.labels))
        signal = float(needed[int(share * _DRAWS)])

        def log_loss(signal: float, scale: float) -> float:
            numbers = noise.copy()
            numbers[:, 0] += signal
            return float(-log_softmax(scale * numbers, axis=1)[:, 0].mean())

        losses = np.asarray([log_loss(signal, scale) for scale in _SCALES])
        # Networks that are fitted for long are too sure of themselves: of two scales the larger one.
        sure = int(losses.argmin())
        k = sure + int(np.abs(losses[sure:] - scores["log_loss"]).argmin())
        slope = np.diff(np.searchsorted(needed, [signal - _STEP, signal + _STEP]))[0] / (2 * _STEP * _DRAWS)
        signal_sd = min(luckier * luck.balanced_accuracy / max(slope, 1e-9), _LARGEST_LUCK)
        by_signal = (log_loss(signal + _STEP, _SCALES[k]) - log_loss(signal - _STEP, _SCALES[k])) / (
            2 * _STEP
        )
        rest = np.sqrt(max(0.0, (luckier * luck.log_loss) ** 2 - (by_signal * signal_sd) ** 2))
        return Trained(
            side,
            scores["balanced_accuracy"],
            luckier * luck.balanced_accuracy,
            float(rest),
            losses[sure:],
            _SCALES[sure:],
            float(losses[k]),
        )

    def _draw(self, rows: int, columns: int) -> Floats:
        return self._random.standard_normal((rows, columns))


def committed_cells(profile: str, labels: Mapping[str, Sequence[str]]) -> dict[str, Predictions]:
    """The committed predictions of a profile, by cell.

    Args:
        profile: Whose.
        labels: Class names in label order, by dataset.
    """
    paths = Paths(profile)
    cells: list[Cell] = cells_with_predictions(paths, Path())
    return {
        cell.name: predictions_to_arrays(read_table(paths.predictions(cell)), labels[cell.dataset])
        for cell in cells
    }
