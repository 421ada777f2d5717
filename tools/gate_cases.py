"""Made-up classifiers on test sets of realistic size, of which as many can be trained as one likes.

A classifier gives each image a number for each class and predicts the largest. The number is the sum of a
signal for the true class; of what is hard about the image and its group, the same in every training; and of
what one training does to the image, to its group and to the whole class. The last is what makes one training
luckier than another in many images at once, beside a signal that is a little stronger or weaker. A loss is
planted as a weaker signal, so that it strikes where a classifier is unsure, as losses do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lung_attention.evaluation.predictions import Predictions
from lung_attention.evaluation.weighted import Floats
from lung_attention.gate.pairing import Pair

LUCKIER = "trainings twice as lucky as assumed"
"""Of the case that breaks the gate's assumption, to show what that costs."""

_DRAWS = 200_000


@dataclass(frozen=True)
class Case:
    """A test set, and the classifier measured on it. Deviations are in clusters of an image's own difficulty.

    Attributes:
        title: For people.
        dataset: Whose `training_sd` the gate takes.
        images: Of each class.
        groups: Of each class; as many as images where every image is one by itself.
        seeds: Trainings on either side.
        balanced_accuracy: Before any loss.
        group_sd: What images of a group have in common, whoever is trained.
        training_image_sd: What a training does to an image.
        training_group_sd: To all images of a group.
        training_class_sd: To all images, for each class.
        training_skill_sd: To the signal: how good it is as a whole.
    """

    title: str
    dataset: str
    images: tuple[int, ...]
    groups: tuple[int, ...]
    seeds: int
    balanced_accuracy: float
    group_sd: float
    training_image_sd: float
    training_group_sd: float
    training_class_sd: float
    training_skill_sd: float


_NODULES = Case(
    title="413 images of 2 classes",
    dataset="lidc",
    images=(203, 210),
    groups=(203, 210),
    seeds=1,
    balanced_accuracy=0.80,
    group_sd=0.0,
    training_image_sd=0.20,
    training_group_sd=0.0,
    training_class_sd=0.05,
    training_skill_sd=0.036,
)

CASES = (
    replace(
        _NODULES,
        title="220 images, 18 of them benign",
        dataset="iqoth",
        images=(92, 110, 18),
        groups=(92, 110, 18),
        balanced_accuracy=0.95,
    ),
    replace(
        _NODULES,
        title="1,500 images of 3 classes",
        dataset="lc25000",
        images=(500, 500, 500),
        groups=(500, 500, 500),
        balanced_accuracy=0.97,
    ),
    _NODULES,
    replace(_NODULES, title="413 images, 3 seeds", seeds=3),
    replace(
        _NODULES,
        title="1,097 images in 116 groups",
        dataset="iqoth",
        images=(416, 561, 120),
        groups=(44, 59, 13),
        group_sd=0.8,
        training_image_sd=0.15,
        training_group_sd=0.15,
    ),
    replace(_NODULES, title=f"413 images, {LUCKIER}", training_skill_sd=0.1),
)
"""Trainings differ as on real nodule crops: in 6 to 7 % of the images, with an sd of about 0.7 points."""


class World:
    """Draws candidates and references of a case.

    Args:
        case: The test set and classifier.
        seed: Of everything drawn.
    """

    def __init__(self, case: Case, *, seed: int) -> None:
        self.case = case
        self._random = np.random.default_rng(seed)
        classes = len(case.images)
        self._labels = np.repeat(np.arange(classes), case.images)
        starts = np.cumsum((0, *case.groups))
        self._groups = np.concatenate(
            [
                starts[k] + np.arange(images) % groups
                for k, (images, groups) in enumerate(zip(case.images, case.groups, strict=True))
            ]
        )
        noise = self._draw(_DRAWS) * np.sqrt(
            1 + case.group_sd**2 + case.training_image_sd**2 + case.training_group_sd**2
            + case.training_class_sd**2 + case.training_skill_sd**2 / 2
        )  # fmt: skip
        # The signal that overcomes this is enough; classes are alike, so one stands for all.
        self._needed = np.sort(noise[:, 1:].max(axis=1) - noise[:, 0])

    def pair(self, loss: float) -> Pair:
        """A new test set, a reference, and a candidate that is worse by a loss of balanced accuracy."""
        case, n = self.case, len(self._labels)
        hard = self._draw(n) + case.group_sd * self._draw(sum(case.groups))[self._groups]
        return Pair(self._trained(hard, loss), self._trained(hard, 0.0))

    def _trained(self, hard: Floats, loss: float) -> Predictions:
        case, n = self.case, len(self._labels)
        signal = self._needed[int((case.balanced_accuracy - loss) * _DRAWS)]
        probabilities = np.zeros((case.seeds, *hard.shape))
        for of_seed in probabilities:
            numbers = hard + case.training_image_sd * self._draw(n)
            numbers += case.training_group_sd * self._draw(sum(case.groups))[self._groups]
            numbers += case.training_class_sd * self._draw(1)
            numbers[np.arange(n), self._labels] += (
                signal + case.training_skill_sd * self._random.standard_normal()
            )
            of_seed[np.arange(n), numbers.argmax(axis=1)] = 1
        names = [f"{k:05d}" for k in range(n)]
        return Predictions(
            classes=tuple(str(k) for k in range(len(case.images))),
            images=np.asarray(names, dtype=object),
            groups=self._groups.astype(str).astype(object),
            labels=self._labels,
            seeds=tuple(range(case.seeds)),
            folds=np.zeros((case.seeds, n), dtype=np.int64),
            probabilities=probabilities,
        )

    def _draw(self, rows: int) -> Floats:
        return self._random.standard_normal((rows, len(self.case.images)))
