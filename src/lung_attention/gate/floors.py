"""What is too low whatever the scores say: classifiers that learnt next to nothing, in a fold or as a whole.

An overall score hides a fold whose classifier is a constant: four good folds of five carry it. So each fold
of each training is looked at by itself. A fold has few images, and may look poor by chance; what fails is
what chance does not explain:

- *constant*: every test image gets the same class, or nearly the same probabilities, though at least
  `FEW_CLUSTERS` clusters of the fold are of another class;
- *a class is never predicted* that the reference predicted in at least `FEW_CLUSTERS` clusters of that fold,
  or of all. If its decisions on them were tosses of a coin, they would all turn with chance 2^−5, 3 %; of
  trainings, which agree on most images, it is far less;
- *below its floor*: balanced accuracy so far that sampling error does not explain it, or balanced accuracy or
  MCC not above where the reference's balanced accuracy was, and fell, each by more than sampling error.

A fold in which the reference has the same fault is told and does not fail: no change made it so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from lung_attention.evaluation.metrics import confusion_matrix
from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import Floats, Integers, confusion_scores

FEW_CLUSTERS = 5
"""Fewer do not tell a broken classifier from chance."""

ALIKE = 1e-3
"""Probabilities of a fold that differ by less are practically the same."""

_CONFIDENCE = 0.99  # one-sided; many folds are looked at


@dataclass(frozen=True)
class Degenerate:
    """What is degenerate about a classifier.

    Attributes:
        breaches: Sentences on what fails.
        notes: Sentences on what the reference has, too.
    """

    breaches: list[str]
    notes: list[str]


@dataclass(frozen=True)
class _Part:
    """The predictions of one training on some of the test images, those of a fold or all.

    Attributes:
        classes: Class names.
        labels: `(n,)` int.
        probabilities: `(n, c)` float.
        codes: `(n,)` int, the cluster of each image.
    """

    classes: tuple[str, ...]
    labels: Integers
    probabilities: Floats
    codes: Integers

    @property
    def predicted(self) -> Integers:
        """`(n,)` int, the most probable class."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def complete(self) -> bool:
        """Whether every class has a test image here."""
        return len(np.unique(self.labels)) == len(self.classes)

    def clusters(self, rows: NDArray[np.bool_]) -> int:
        """The number of clusters with any of these images."""
        return len(np.unique(self.codes[rows]))

    def scores(self) -> dict[str, float]:
        """Balanced accuracy and MCC, among others."""
        confusion = confusion_matrix(self.labels, self.predicted, classes=len(self.classes))
        scores = confusion_scores(confusion[..., None].astype(np.float64))
        return {name: float(value[0]) for name, value in scores.items()}

    def residuals(self) -> Floats:
        """`(clusters,)`: what each cluster adds to the deviation of the balanced accuracy, linearised."""
        right = (self.predicted == self.labels).astype(np.float64)
        support = np.bincount(self.labels, minlength=len(self.classes))
        sensitivity = np.bincount(self.labels, weights=right, minlength=len(self.classes)) / support
        residual = (right - sensitivity[self.labels]) / (len(self.classes) * support[self.labels])
        return np.asarray(np.bincount(self.codes, weights=residual), dtype=np.float64)

    def reach(self, residuals: Floats) -> float:
        """How far sampling error reaches: Student's t times a standard error.

        The class with the fewest clusters is the least certain one: their number less one is taken for the
        degrees of freedom.
        """
        clusters = min(self.clusters(self.labels == k) for k in range(len(self.classes)))
        if clusters < 2:
            return math.inf
        error = math.sqrt(float((residuals**2).sum()) * clusters / (clusters - 1))
        return float(student.ppf(_CONFIDENCE, clusters - 1)) * error


def floor_breaches(found: Mapping[str, float], *, floor: float) -> list[str]:
    """What is too low as a whole, whatever the reference says; empty if nothing is.

    Args:
        found: Scores of the candidate.
        floor: The balanced accuracy to exceed, not below that of a majority vote, 1 / classes.

    Returns:
        Sentences. A majority vote has an MCC of 0, which has to be exceeded too.
    """
    breaches = []
    if not found["balanced_accuracy"] > floor:
        breaches.append(f"balanced accuracy {found['balanced_accuracy']:.3f} is not above {floor:.3f}")
    if not found["mcc"] > 0:
        breaches.append(f"MCC {found['mcc']:.3f} is not above 0, that of a majority vote")
    return breaches


def degenerate_parts(
    candidate: Predictions, reference: Predictions | None, *, floor: float
) -> Degenerate:  # fmt: skip
    """Looks for degenerate classifiers in every fold of every training, and over all folds of it.

    Args:
        candidate: `s` seeds; every class has a test image.
        reference: On the same images with the same folds, seed number k for seed number k; None where there
            is nothing to compare with, so that the candidate alone is looked at.
        floor: The balanced accuracy to exceed.
    """
    breaches: list[str] = []
    notes: list[str] = []
    codes, _ = candidate.clusters()
    for k, seed in enumerate(candidate.seeds):
        folds = np.unique(candidate.folds[k])
        parts = [(f"fold {fold}", candidate.folds[k] == fold) for fold in folds] if len(folds) > 1 else []
        for title, rows in [*parts, ("all test images", np.full(len(candidate.labels), True))]:
            where = f"{title}, seed {seed}" if len(candidate.seeds) > 1 else title
            ours = _part(candidate, k, rows, codes)
            theirs = None if reference is None else _part(reference, k, rows, codes)
            for check in (_constant, _never_predicted, _below):
                found = check(ours, theirs, floor)
                if found is None:
                    continue
                text, fails = found
                (breaches if fails else notes).append(f"{where}: {text}")
                break  # a constant is below the floor and never predicts a class, too
    return Degenerate(breaches, notes)


def _part(predictions: Predictions, seed: int, rows: NDArray[np.bool_], codes: Integers) -> _Part:
    labels, probabilities = predictions.labels[rows], predictions.probabilities[seed, rows]
    return _Part(predictions.classes, labels, probabilities, codes[rows])


def _constant(ours: _Part, theirs: _Part | None, _: float) -> tuple[str, bool] | None:
    text = _as_constant(ours)
    if text is None:
        return None
    before = None if theirs is None else _as_constant(theirs)
    return (text, True) if before is None else (f"{text}; so it was in the reference", False)


def _as_constant(part: _Part) -> str | None:
    """In what way a classifier is a constant; None if it is none, or chance explains it."""
    decided = np.unique(part.predicted)
    if len(decided) == 1 and part.clusters(part.labels != decided[0]) >= FEW_CLUSTERS:
        return f"all {len(part.labels)} images are decided as {part.classes[decided[0]]}"
    reach = float(np.ptp(part.probabilities, axis=0).max())
    several = len(np.unique(part.labels)) > 1 and len(np.unique(part.codes)) >= FEW_CLUSTERS
    if several and reach < ALIKE:
        return f"all {len(part.labels)} images have the same probabilities within {ALIKE:g}"
    return None


def _never_predicted(ours: _Part, theirs: _Part | None, _: float) -> tuple[str, bool] | None:
    """A class that is predicted no more; below `FEW_CLUSTERS` clusters that may be chance, and is told."""
    if theirs is None:
        return None
    told = None
    for k, name in enumerate(ours.classes):
        before = theirs.predicted == k
        if not before.any() or (ours.predicted == k).any() or not (ours.labels == k).any():
            continue
        clusters = theirs.clusters(before)
        text = f"{name} is never predicted; the reference did so for {before.sum()} images"
        if clusters >= FEW_CLUSTERS:
            return text, True
        told = f"{text}, which are {clusters} independent ones: may be chance", False
    return told


def _below(ours: _Part, theirs: _Part | None, floor: float) -> tuple[str, bool] | None:
    if not ours.complete:
        return None
    below = floor_breaches(ours.scores(), floor=floor)
    if not below:
        return None
    mine, residuals = ours.scores()["balanced_accuracy"], ours.residuals()
    before = None if theirs is None else theirs.scores()["balanced_accuracy"]
    if mine + ours.reach(residuals) < floor:
        text = f"{below[0]}, by more than sampling error"
        if theirs is not None and before is not None and before + theirs.reach(theirs.residuals()) < floor:
            return f"{text}; so it was in the reference", False
        return text, True
    if theirs is None or before is None:
        return None
    fell = ours.reach(theirs.residuals() - residuals) < before - mine
    if fell and before - theirs.reach(theirs.residuals()) > floor:
        return f"{below[0]}; the reference's {before:.3f} was, by more than sampling error", True
    return None
