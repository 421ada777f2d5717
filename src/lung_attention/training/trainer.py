"""The fit of a network on some rows, from the recommended head on, which goes on where it was killed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lung_attention.models.logistic import pooled
from lung_attention.training.checkpoints import Array, Checkpoints
from lung_attention.training.finetuning import Finetuning
from lung_attention.training.fits import Material, Record, Source
from lung_attention.training.fitting import Rows
from lung_attention.training.network import Network, strategy_of
from lung_attention.training.recipe import Choices, Recipe
from lung_attention.training.regressions import Regressions, image_weights
from lung_attention.training.stream import Stream, keep_pixels, margin_of

History = list[dict[str, float]]


class Trainer:
    """Fits the network of a cell, one fit after the other.

    Args:
        material: What the fits are given.
        tuning: How the network is fitted.
        source: Images and backbone.
        checkpoints: Where decoded images and the state after each epoch are kept.
        devices: On which each batch is spread; None for all GPUs.
    """

    def __init__(
        self,
        material: Material,
        tuning: Finetuning,
        source: Source,
        checkpoints: Checkpoints,
        devices: Sequence[str] | None,
    ) -> None:
        self._tuning = tuning
        self._source = source
        self._labels = material.labels
        self._checkpoints = checkpoints
        n_classes, columns = len(material.classes), pooled(material.features)
        self._regressions = Regressions(columns, self._labels, material.groups, n_classes=n_classes)
        self._pixels = keep_pixels(
            source,
            material.table["image"].tolist(),
            margin_px=margin_of(tuning.augmentation, source.image_size_px),
            path=checkpoints.file("pixels.npy"),
        )
        # Fits may differ in their penalty alone, which the network does not have.
        recipe = next(iter(material.settings.by_fit.values()))
        self.network = Network(
            source, material.head, n_classes, recipe, tuning, strategy_of(devices)
        )  # fmt: skip

    def fit(
        self, name: str, rows: Rows, recipe: Recipe, choices: Choices, *, seed: int, record: Record
    ) -> tuple[float, History]:
        """Fits the network, all epochs of it or those that are left.

        Args:
            name: Of the fit, under which its state is kept after each epoch.
            rows: The rows fitted on.
            recipe: The head's.
            choices: Among what the penalty of the start is chosen, by inner folds of these rows.
            seed: Of all that is drawn.
            record: Receives each epoch, kept ones included.

        Returns:
            The penalty chosen, and the values of each epoch.
        """
        tuning, network = self._tuning, self.network
        stream = self._stream(rows, recipe)
        history: History = []
        total: list[Array] = []  # of the weights after those epochs that are averaged
        kept = self._checkpoints.load(name)
        if kept is None:
            l2 = self._start(rows, recipe, choices, seed=seed)
        else:
            arrays, values = kept
            l2, history, states = values["l2"], values["history"], values["states"]
            network.restore(arrays[:states])
            total = arrays[states:]
            tell(history, record)
        steps = stream.steps(rows)
        for epoch in range(len(history) + 1, tuning.epochs + 1):
            batches = stream.epoch(rows, seed=seed, epoch=epoch)
            found = network.fit_epoch(batches, done=(epoch - 1) * steps, steps=tuning.epochs * steps)
            if epoch > tuning.epochs - tuning.averaged_epochs:
                trained = network.trained()
                total = [one + other for one, other in zip(total, trained, strict=True)] if total else trained
            history.append(found)
            state = network.state()
            values = {"l2": l2, "history": history, "states": len(state)}
            self._checkpoints.save(name, [*state, *total], values)
            record(epoch, found)
        if tuning.averaged_epochs > 1:
            network.set_trained([one / np.float32(tuning.averaged_epochs) for one in total])
        return l2, history

    def _stream(self, rows: Rows, recipe: Recipe) -> Stream:
        """Changed images; rows that are not fitted on weigh nothing, should one ever be asked for."""
        weights = np.zeros(len(self._labels))
        weights[rows] = image_weights(self._labels[rows], recipe)
        return Stream(
            self._pixels,
            self._labels,
            weights,
            self._source,
            self._tuning.augmentation,
            batch_size=self._tuning.batch_size,
            images_per_epoch=self._tuning.images_per_epoch,
        )

    def _start(self, rows: Rows, recipe: Recipe, choices: Choices, *, seed: int) -> float:
        """Gives the network the recommended head on these rows; returns the penalty chosen for it."""
        inner = self._regressions.inner(rows, choices, seed=seed)
        l2, _ = self._regressions.penalty(rows, inner, recipe, choices.l2)
        self.network.start(self._regressions.of(rows, recipe, [l2])[0], seed=seed)
        return l2


def tell(history: Sequence[dict[str, float]], record: Record) -> None:
    """Tells epochs that were fitted before."""
    for epoch, values in enumerate(history, 1):
        record(epoch, values)
