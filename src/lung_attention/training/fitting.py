"""The fit of a head on features: last epoch, no selection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lung_attention.models.heads.dense import set_linear
from lung_attention.models.logistic import LogisticPath
from lung_attention.training.recipe import Recipe

Features = npt.NDArray[np.float16]
Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

# Batches read while one is fitted on.
_PREFETCHED = 2

HISTORY_KEYS = ("loss", "accuracy", "val_loss", "val_accuracy")


def _batches(
    features: Features, labels: Labels, rows: Rows, *, batch_size: int, seed: int | None
) -> tf.data.Dataset:
    """Rows of a memory-mapped array in batches, in a new order each epoch where a seed is given."""
    random = None if seed is None else np.random.default_rng(seed)

    def epoch() -> Iterator[tuple[Features, Labels]]:
        order = rows if random is None else random.permutation(rows)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            yield features[chosen], labels[chosen]

    signature = (
        tf.TensorSpec((None, *features.shape[1:]), tf.as_dtype(features.dtype)),
        tf.TensorSpec((None,), tf.int64),
    )
    options = tf.data.Options()
    # Nothing here needs tuning, and the end of an epoch would wait for the tuner, which sleeps twice as long
    # each time: half the time of a fit.
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 1
    batches = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    counted = batches.apply(tf.data.experimental.assert_cardinality(-(-len(rows) // batch_size)))
    return counted.prefetch(_PREFETCHED).with_options(options)


class _EpochReporter(keras.callbacks.Callback):
    """Hands the values of each finished epoch to a function."""

    def __init__(self, report: Callable[[int, dict[str, float]], None]) -> None:
        super().__init__()
        self._report = report

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {key: float(value) for key, value in (logs or {}).items() if key in HISTORY_KEYS}
        self._report(epoch + 1, values)


def compile_head(head: keras.Model, recipe: Recipe) -> None:
    """Prepares a head for `fit_head`: the recipe's optimizer on sparse categorical cross-entropy.

    Args:
        head: From features to probabilities; changed.
        recipe: Its optimizer, learning rate, and whether XLA compiles the step.
    """
    head.compile(
        optimizer=keras.optimizers.get(
            {"class_name": recipe.optimizer, "config": {"learning_rate": recipe.learning_rate}}
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=recipe.jit_compile,
    )


def restart(head: keras.Model, fresh: keras.Model, *, learning_rate: float) -> None:
    """Makes a compiled head as good as new, so that its next fit need not be traced and compiled again.

    Args:
        head: Compiled, and perhaps fitted before; changed.
        fresh: A new head of the same architecture; its weights and random states are taken over.
        learning_rate: Of the optimizer.
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
    validation: Rows,
    recipe: Recipe,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> None:
    """Fits a compiled head in place. Without epochs it stays as it starts, which counts as one.

    Args:
        head: From features to probabilities, compiled by `compile_head`; changed.
        features: `(n, rows, cols, channels)`, may be memory-mapped.
        labels: Class numbers `(n,)`.
        train: The rows fitted on.
        validation: The rows whose loss and accuracy are recorded after each epoch; may be empty. They have no
            influence on the fit.
        recipe: Epochs, batch size and class weights.
        seed: Seed of the order of batches and of anything else that is drawn.
        on_epoch: Receives the number of each finished epoch, from 1, and `loss`, `accuracy` and, where rows
            are given for validation, `val_loss`, `val_accuracy`.
    """
    keras.utils.set_random_seed(seed)
    if not recipe.epochs:
        batches = _batches(features, labels, train, batch_size=recipe.batch_size, seed=None)
        found = head.evaluate(batches, verbose=0, return_dict=True)
        on_epoch(1, {name: float(found[name]) for name in ("loss", "accuracy")})
        return
    head.fit(
        _batches(features, labels, train, batch_size=recipe.batch_size, seed=seed),
        validation_data=_batches(features, labels, validation, batch_size=recipe.batch_size, seed=None)
        if validation.size
        else None,
        epochs=recipe.epochs,
        class_weight=balanced_weights(labels[train]) if recipe.class_weights == "balanced" else None,
        shuffle=False,  # the batches shuffle themselves, by our seed
        verbose=0,
        callbacks=[_EpochReporter(on_epoch)],
    )


def start_head(head: keras.Model, columns: npt.NDArray[np.float32], labels: Labels, recipe: Recipe) -> None:
    """Gives a head of random weights those that its recipe starts from.

    Args:
        head: Built by the recipe; changed.
        columns: `(n, 2 * channels)`, averages and maxima of the features fitted on.
        labels: Their class numbers `(n,)`.
        recipe: Its penalty and class weights.
    """
    n_classes = int(head.output_shape[-1])
    path = LogisticPath(columns, labels, n_classes=n_classes, class_weights=recipe.class_weights)
    set_linear(head, path.fit(recipe.l2))


def balanced_weights(labels: Labels) -> dict[int, float]:
    """The weight of each class with which all weigh alike: images / (classes · images of the class).

    Args:
        labels: Class numbers `(n,)`.
    """
    present, counts = np.unique(labels, return_counts=True)
    weights = len(labels) / (len(present) * counts)
    return dict(zip(present.tolist(), weights.tolist(), strict=True))


def predict(head: keras.Model, features: Features, rows: Rows, *, batch_size: int) -> npt.NDArray[np.float32]:
    """Class probabilities of some rows.

    Returns:
        float32 `(len(rows), classes)`, each row summing to 1.
    """
    parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
    return np.concatenate([np.asarray(head(features[part], training=False)) for part in parts])


def device_name() -> str:
    """What a fit computes on: the GPU's name where there is one, else `cpu`."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "gpu"))
