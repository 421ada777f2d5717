"""Chance: how it is drawn and judged, and how far one training is luckier than another as a whole.

Two trainings of the same code with other seeds differ in many ways at once, and nothing in one pair of
trainings shows by how much; so its size is assumed (`training_sd` in the parameters). Where the reference has
several seeds and they differ by more, their spread counts. It is given for balanced accuracy and log loss.
The other scores follow: MCC of c equal classes moves by c / (c − 1) when balanced accuracy moves by 1; an
AUROC of two normal distributions by √2 exp(−d² / 8), d their distance, and √2 is taken, which is so for weak
classifiers and too much for good ones. Trainings that are lucky in their decisions are so in balanced
accuracy, MCC and AUROC together; that of log loss, which is a matter of confidence, is drawn by itself.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import SMALLEST_PROBABILITY, Floats
from lung_attention.gate.contributions import cluster_sums
from lung_attention.gate.scores import DECIDING


@dataclass(frozen=True)
class Chance:
    """How chance is drawn and judged.

    Attributes:
        resamples: Of the bootstrap, and swaps of the permutation test.
        confidence: One-sided, such as 0.95.
        power: With which a detectable loss would be detected, such as 0.8.
        seed: Of everything drawn.
    """

    resamples: int
    confidence: float
    power: float
    seed: int


@dataclass(frozen=True)
class Luck:
    """Standard deviations of one training's scores, beyond what independent clusters explain.

    Attributes:
        balanced_accuracy: 0..1.
        log_loss: In nats.
    """

    balanced_accuracy: float
    log_loss: float

    def draws(self, *, classes: int, seeds: int, resamples: int, random: np.random.Generator) -> Floats:
        """Gains of one lucky mean over seeds over another.

        Args:
            classes: Number of classes.
            seeds: Pairs of trainings that are averaged.
            resamples: How many draws.
            random: Where they come from.

        Returns:
            `(4, resamples)` normal deviations, in the order of `DECIDING`.
        """
        of_decisions, of_confidence = random.standard_normal((2, resamples)) * math.sqrt(2 / seeds)
        drawn = {
            "balanced_accuracy": self.balanced_accuracy * of_decisions,
            "mcc": self.balanced_accuracy * classes / (classes - 1) * of_decisions,
            "auroc_ovr": self.balanced_accuracy * math.sqrt(2) * of_decisions,
            "log_loss": self.log_loss * of_confidence,
        }
        return np.stack([drawn[name] for name in DECIDING])

    def at_least(self, other: Luck) -> Luck:
        """The larger of both deviations, score by score."""
        return Luck(
            max(self.balanced_accuracy, other.balanced_accuracy), max(self.log_loss, other.log_loss)
        )  # fmt: skip


def seed_spread(predictions: Predictions) -> Luck:
    """How much trainings of one cell differ as a whole, beyond what independent clusters explain.

    Returns:
        Deviations of one training; 0 for one seed, or where clusters explain all of the differences.
    """
    excess = seed_excess(predictions)
    return Luck(*(math.sqrt(max(0.0, float(np.mean(values)))) if values.size else 0.0 for values in excess))


def seed_excess(predictions: Predictions) -> Floats:
    """What the differences of two trainings say of the variance of one training's luck.

    The squared difference of two seeds' scores has the expectation V + 2 sd², where V is the sum of squares
    of what each cluster contributes to it.

    Args:
        predictions: `s` seeds.

    Returns:
        `(2, s (s − 1) / 2)`: for balanced accuracy and log loss, of each pair of seeds, an unbiased estimate
        of sd², which may be negative.
    """
    codes, n_clusters = predictions.clusters()
    n, labels = len(predictions.labels), predictions.labels
    of_truth = np.clip(predictions.probabilities[:, np.arange(n), labels], SMALLEST_PROBABILITY, 1.0)
    both = (
        cluster_balanced_accuracy(predictions),
        cluster_sums(-np.log(of_truth) / n, codes, n_clusters),
    )
    return np.asarray(
        [
            [
                ((a - b).sum() ** 2 - ((a - b) ** 2).sum()) / 2
                for a, b in itertools.combinations(of_cluster, 2)
            ]
            for of_cluster in both
        ]
    )


def cluster_balanced_accuracy(predictions: Predictions) -> Floats:
    """`(s, clusters)`: what each cluster adds to the balanced accuracy of each seed."""
    support = np.bincount(predictions.labels, minlength=len(predictions.classes))
    return cluster_sums(
        predictions.right / (len(support) * support[predictions.labels]), *predictions.clusters()
    )
