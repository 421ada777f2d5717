"""The recipe `finetuned`: from the recommended head on, the backbone's last layers are fitted with it.

Each fit parts its training groups once more: most are fitted on, one part of several finds the temperature.
On the former a logistic regression on pooled features, its penalty chosen by inner folds as the recommended
recipe does, gives the head that everything starts from. Epochs and rates are given, not chosen, so that
nothing looks at a test image.

A training that was killed goes on after the last epoch that it finished, and ends as if nothing had been.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from lung_attention.models.backbones import build_backbone, thaw
from lung_attention.models.classifier import build_classifier, build_preprocessing
from lung_attention.models.heads import build_head
from lung_attention.splits.protocol import Fold
from lung_attention.training.checkpoints import Array, Checkpoints
from lung_attention.training.finetuning import Finetuning
from lung_attention.training.fits import (
    Fitted,
    FittedCell,
    Material,
    Record,
    Source,
    fit_seed,
    run_fits,
)
from lung_attention.training.fitting import Rows
from lung_attention.training.inner import inner_folds
from lung_attention.training.progress import EpochReport
from lung_attention.training.recipe import Choices, fold_name
from lung_attention.training.regressions import temperature
from lung_attention.training.stream import shown_to_network
from lung_attention.training.trainer import Trainer, tell

Probabilities = npt.NDArray[np.float32]


def fit(
    material: Material, on_epoch: EpochReport, *, devices: Sequence[str] | None = None
) -> FittedCell:  # fmt: skip
    """Fits a cell.

    Args:
        material: What the fits are given; its settings hold `choices` and `finetuning`, and its `source`
            images and backbone.
        on_epoch: Receives seed, fold, epoch and the epoch's values; those of epochs that a killed training
            had finished are told again.
        devices: On which each batch is spread; None for all GPUs.

    Returns:
        The whole classifier that is kept, its probabilities averaged over turns and tempered, out-of-sample
        predictions, learning curves, and of each fit `l2`, `epochs` and `temperature`.

    Raises:
        UserError: A class has too few groups in a training part.
    """
    fits = _Fits(material, devices)
    cell = run_fits(material, fits.fit_one, on_epoch)
    return replace(cell, head=cell.head.get_layer("head"), classifier=cell.head)


class _Fits:
    """The fits of a cell, which share decoded images, pooled features, a network and a classifier."""

    def __init__(self, material: Material, devices: Sequence[str] | None) -> None:
        choices, tuning, source = material.settings.choices, material.settings.finetuning, material.source
        if choices is None or tuning is None or source is None:
            raise ValueError("Expected settings with choices and finetuning, and a source.")
        self._choices: Choices = choices
        self._tuning: Finetuning = tuning
        self._source: Source = source
        self._material = material
        self._labels = material.labels
        self._groups = material.groups
        self._images = material.table["image"].tolist()
        self._n_classes = len(material.classes)
        self._checkpoints = Checkpoints(source.checkpoints)
        self._devices = devices
        self._trainer: Trainer | None = None
        self._classifier = build_kept(material, source, tuning)
        self._of_squares = without_preprocessing(self._classifier, source)

    def fit_one(self, seed: int, fold: Fold, record: Record) -> Fitted:
        """Makes a fit, or takes it as a killed training left it."""
        name = f"seed-{seed}-{fold_name(fold.number)}"
        finished = self._checkpoints.load(f"{name}-finished")
        if finished is None:
            finished = self._make(name, seed, fold, record)
        else:
            tell(finished[1]["history"], record)
        (probabilities, *weights), values = finished
        self._classifier.set_weights(weights)

        def of_test(rows: Rows) -> Probabilities:
            if not np.array_equal(rows, fold.test):
                raise ValueError("Expected the rows that the fit is tested on.")
            return probabilities

        return Fitted(self._classifier, of_test, values["chosen"])

    def _make(self, name: str, seed: int, fold: Fold, record: Record) -> tuple[list[Array], dict[str, Any]]:
        """Fits, finds the temperature, predicts the test part, and keeps all that comes of it.

        Returns:
            Probabilities of the test part and the classifier's weights; what was chosen and the history.
        """
        number = fit_seed(seed, fold.number)
        fitted_on, held_out = self._parts(fold.train, seed=number)
        if self._trainer is None:
            # Building and compiling takes its time, for nothing where all fits are finished.
            self._trainer = Trainer(
                self._material, self._tuning, self._source, self._checkpoints, self._devices
            )
        recipe = self._material.settings.of(fold.number)
        l2, history = self._trainer.fit(name, fitted_on, recipe, self._choices, seed=number, record=record)
        backbone, head = (self._classifier.get_layer(layer) for layer in (self._source.backbone, "head"))
        self._trainer.network.give(backbone, head)
        self._set_temperature(1.0)
        divisor = temperature(self._predict(held_out).astype(np.float64), self._labels[held_out])
        self._set_temperature(divisor)
        arrays = [self._predict(fold.test), *self._classifier.get_weights()]
        chosen = {"l2": l2, "epochs": self._tuning.epochs, "temperature": divisor}
        values = {"history": history, "chosen": chosen}
        self._checkpoints.save(f"{name}-finished", arrays, values)
        self._checkpoints.remove(name)
        return arrays, values

    def _parts(self, rows: Rows, *, seed: int) -> tuple[Rows, Rows]:
        """The training rows that are fitted on, and those that find the temperature; no group is in both."""
        (fitted_on, held_out), *_ = inner_folds(
            self._labels[rows],
            self._groups[rows],
            n_classes=self._n_classes,
            folds=self._tuning.calibration_folds,
            seed=seed,
            key="train.finetuned.settings.calibration_folds",
        )
        return rows[fitted_on], rows[held_out]

    def _set_temperature(self, value: float) -> None:
        self._classifier.get_layer("mean_of_turns").set_weights([np.float32(value)])

    def _predict(self, rows: Rows) -> Probabilities:
        """Probabilities `(rows, classes)` of the kept classifier, batch by batch."""
        images = [self._images[row] for row in rows]
        found: list[Probabilities] = [np.empty((0, self._n_classes), np.float32)]
        batch: list[npt.NDArray[np.float32]] = []
        preprocessing = self._classifier.get_layer("preprocessing")
        for number, shown in enumerate(shown_to_network(self._source, images, preprocessing), 1):
            batch.append(shown)
            if len(batch) == self._tuning.batch_size or number == len(images):
                found.append(np.asarray(self._of_squares.predict_on_batch(np.stack(batch))))
                batch.clear()
        return np.concatenate(found)


def build_kept(material: Material, source: Source, tuning: Finetuning) -> keras.Model:
    """Builds the classifier that is kept, in full precision: raw pixels in, tempered probabilities out."""
    backbone = build_backbone(source.backbone, source.image_size_px, weights=source.weights)
    thaw(backbone, tuning.trainable)
    recipe = next(iter(material.settings.by_fit.values()))
    head = build_head(
        material.head, backbone.output_shape[1:], len(material.classes), replace(recipe, l2=0.0), seed=0
    )
    preprocessing = build_preprocessing(source.backbone, source.view, source.image_size_px)
    return build_classifier(preprocessing, backbone, head, turns=tuning.turns)


def without_preprocessing(classifier: keras.Model, source: Source) -> keras.Model:
    """The same classifier from the backbone's input on, which takes images of one size in batches."""
    x = shown = keras.Input((source.image_size_px, source.image_size_px, 3), name="shown")
    for name in ("turned", source.backbone, "head", "mean_of_turns"):
        x = classifier.get_layer(name)(x)
    return keras.Model(shown, x)
