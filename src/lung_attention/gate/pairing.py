"""Candidate and reference of one cell side by side: image by image, fold by fold, seed by seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lung_attention.evaluation.predictions import Predictions

IMAGES, LABELS, FOLDS = "images", "labels", "folds"
"""What can differ so that nothing is left to compare."""


@dataclass(frozen=True)
class Difference:
    """Why two sets of predictions cannot be compared.

    Attributes:
        change: `images`, `labels` or `folds`, as it is named when it is declared.
        text: For people, with numbers.
    """

    change: str
    text: str


@dataclass(frozen=True)
class Pair:
    """Predictions on the same images; seed number k of one belongs to seed number k of the other.

    Attributes:
        candidate: `s` seeds.
        reference: `s` seeds.
    """

    candidate: Predictions
    reference: Predictions

    @property
    def identical(self) -> bool:
        """Whether every probability of every pair of seeds is equal."""
        return np.array_equal(self.candidate.probabilities, self.reference.probabilities)

    @property
    def decided_alike(self) -> bool:
        """Whether every predicted class is equal, so that no score of decisions can differ."""
        return np.array_equal(self.candidate.predicted, self.reference.predicted)


def differences(candidate: Predictions, reference: Predictions) -> list[Difference]:
    """What forbids a comparison; empty if nothing does.

    Args:
        candidate: Predictions of one cell.
        reference: Predictions of the same cell before the change.

    Returns:
        At most one entry a kind. Labels and folds are looked at only where the images are the same.
    """
    ours, theirs = set(candidate.images), set(reference.images)
    if ours != theirs:
        text = f"{len(theirs)} test images in the reference, {len(ours)} here: "
        return [
            Difference(IMAGES, text + f"{len(theirs - ours)} are gone, {len(ours - theirs)} are new"),
        ]
    found = []
    if relabelled := int((candidate.labels != reference.labels).sum()):
        found.append(Difference(LABELS, f"{relabelled} of {len(ours)} test images have another label"))
    # Every seed uses the same folds, so that the first one's tell.
    if moved := int((candidate.folds[0] != reference.folds[0]).sum()):
        found.append(Difference(FOLDS, f"{moved} of {len(ours)} images are tested in another fold"))
    return found


def pair_seeds(candidate: Sequence[int], reference: Sequence[int]) -> list[tuple[int, int]]:
    """Which training of one belongs to which of the other.

    Seeds that both have belong together: equal code would give equal predictions. The others, trainings with
    unrelated chance, are paired in ascending order. Those left over have no partner and are not compared.

    Args:
        candidate: All different.
        reference: All different.

    Returns:
        Pairs of seeds, ascending in the candidate's.
    """
    common = set(candidate) & set(reference)
    rest = zip(sorted(set(candidate) - common), sorted(set(reference) - common), strict=False)
    return sorted([(seed, seed) for seed in common] + list(rest))


def paired(candidate: Predictions, reference: Predictions) -> Pair:
    """Pairs two sets of predictions of which `differences` found nothing.

    Groups are the candidate's on both sides: what is known today of the images decides what is resampled.
    """
    pairs = pair_seeds(candidate.seeds, reference.seeds)
    return Pair(
        _with_seeds(candidate, [ours for ours, _ in pairs]),
        replace(_with_seeds(reference, [theirs for _, theirs in pairs]), groups=candidate.groups),
    )


def _with_seeds(predictions: Predictions, seeds: Sequence[int]) -> Predictions:
    rows = [predictions.seeds.index(seed) for seed in seeds]
    return replace(
        predictions,
        seeds=tuple(seeds),
        folds=predictions.folds[rows],
        probabilities=predictions.probabilities[rows],
    )
