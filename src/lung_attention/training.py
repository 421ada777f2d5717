"""Fitting a head on features: the published recipe, last epoch, no selection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float16]
Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

HISTORY_KEYS = ("loss", "accuracy", "val_loss", "val_accuracy")


class _Batches(keras.utils.PyDataset):
    """Rows of a memory-mapped array in batches, in a new order each epoch where a seed is given."""

    def __init__(
        self, features: Features, labels: Labels, rows: Rows, *, batch_size: int, seed: int | None
    ) -> None:
        super().__init__()
        self._features = features
        self._labels = labels
        self._rows = rows.copy()
        self._batch_size = batch_size
        self._random = None if seed is None else np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch_size)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], Labels]:
        rows = self._rows[index * self._batch_size : (index + 1) * self._batch_size]
        return self._features[rows].astype(np.float32), self._labels[rows]

    def on_epoch_end(self) -> None:
        if self._random is not None:
            self._random.shuffle(self._rows)


class _EpochReporter(keras.callbacks.Callback):
    """Hands the values of each finished epoch to a function."""

    def __init__(self, report: Callable[[int, dict[str, float]], None]) -> None:
        super().__init__()
        self._report = report

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items() if key in HISTORY_KEYS}
        self._report(epoch + 1, values)


def compile_head(head: keras.Model, *, learning_rate: float, jit_compile: bool) -> None:
    """Prepares a head for `fit_head`: Adam on sparse categorical cross-entropy.

    Args:
        head: From features to probabilities; changed.
        learning_rate: Of Adam.
        jit_compile: Whether XLA compiles the step, which halves the time of a large one on a CPU.
    """
    head.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=jit_compile,
    )


def restart(head: keras.Model, fresh: keras.Model, *, learning_rate: float) -> None:
    """Makes a compiled head as good as new, so that its next fit need not be traced and compiled again.

    Args:
        head: Compiled, and perhaps fitted before; changed.
        fresh: A new head of the same architecture; its weights and random states are taken over.
        learning_rate: Of Adam.
    """
    for variable, start in zip(head.variables, fresh.variables, strict=True):
        variable.assign(start)
    for variable in head.optimizer.variables:
        variable.assign(keras.ops.zeros_like(variable))
    head.optimizer.learning_rate = learning_rate


def fit_head(
    head: keras.Model,
    features: Features,
    labels: Labels,
    *,
    train: Rows,
    watched: Rows,
    epochs: int,
    batch_size: int,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> None:
    """Fits a compiled head in place.

    Args:
        head: From features to probabilities, compiled by `compile_head`; changed.
        features: `(n, rows, cols, channels)`, may be memory-mapped.
        labels: Class numbers `(n,)`.
        train: The rows fitted on.
        watched: The rows whose loss and accuracy are recorded after each epoch; may be empty. They have no
            influence on the fit.
        epochs: Passes over `train`; the weights of the last one stay.
        batch_size: Rows a step.
        seed: Seed of the order of batches and of anything else that is drawn.
        on_epoch: Receives the number of each finished epoch, from 1, and `loss`, `accuracy` and, where rows
            are watched, `val_loss`, `val_accuracy`.
    """
    keras.utils.set_random_seed(seed)
    head.fit(
        _Batches(features, labels, train, batch_size=batch_size, seed=seed),
        validation_data=_Batches(features, labels, watched, batch_size=batch_size, seed=None)
        if watched.size
        else None,
        epochs=epochs,
        shuffle=False,  # the batches shuffle themselves, by our seed
        verbose=0,
        callbacks=[_EpochReporter(on_epoch)],
    )


def predict(head: keras.Model, features: Features, rows: Rows, *, batch_size: int) -> npt.NDArray[np.float32]:
    """Class probabilities of some rows.

    Returns:
        float32 `(len(rows), classes)`, each row summing to 1.
    """
    none = np.zeros(len(features), dtype=np.int64)
    batches = _Batches(features, none, rows, batch_size=batch_size, seed=None)
    return np.concatenate(
        [np.asarray(head(batches[i][0], training=False)) for i in range(len(batches))]
    )  # fmt: skip


def device_name() -> str:
    """What a fit computes on: the GPU's name where there is one, else `cpu`."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu"))
