"""A backbone and a head that are fitted together, one compiled network for all fits of a cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lung_attention.models.backbones import build_backbone, thaw
from lung_attention.models.heads import build_head
from lung_attention.models.heads.dense import set_linear
from lung_attention.models.logistic import Linear
from lung_attention.training.finetuning import Finetuning
from lung_attention.training.fits import Source
from lung_attention.training.recipe import Recipe

Array = npt.NDArray[Any]

# Penalised are kernels alone: a bias or the factor of the attention has no size that means anything.
_NOT_DECAYED = ("bias", "gamma")


def strategy_of(devices: Sequence[str] | None = None) -> tf.distribute.Strategy:
    """How a fit is spread over devices: each batch over all GPUs where there are several.

    Args:
        devices: Names as TensorFlow has them; None for all GPUs that are visible.
    """
    if devices is None:
        devices = [gpu.name for gpu in tf.config.list_logical_devices("GPU")]
    return tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy()


def cosine(step: int, steps: int) -> float:
    """By which factor a rate is lower at a step: 1 at the first, 0 after the last, half a cosine between."""
    return (1 + math.cos(math.pi * step / steps)) / 2


class Network:
    """A backbone and a head, from the backbone's input to probabilities.

    The backbone computes as in prediction, without dropout of its own and with the statistics it came with;
    on a GPU in half precision where the settings say so, while the head always has full precision.

    Args:
        source: The backbone and the side of its input.
        head: A key of `HEADS`.
        n_classes: Number of classes.
        recipe: Of the head; its penalty has no part here.
        tuning: How both are fitted.
        strategy: On which devices.
    """

    def __init__(
        self,
        source: Source,
        head: str,
        n_classes: int,
        recipe: Recipe,
        tuning: Finetuning,
        strategy: tf.distribute.Strategy,
    ) -> None:
        self._name, self._n_classes = head, n_classes
        # The start has this penalty; from there on the decay of weights is what holds them back.
        self._recipe = replace(recipe, l2=0.0)
        self._rate = tuning.learning_rate
        self._strategy = strategy
        half = tuning.mixed_precision == "auto" and bool(tf.config.list_physical_devices("GPU"))
        if tf.config.list_physical_devices("GPU"):
            tf.config.experimental.enable_op_determinism()  # on a CPU, sums have an order anyway
        with strategy.scope():
            self.backbone = build_backbone(
                source.backbone,
                source.image_size_px,
                weights=source.weights,
                policy="mixed_float16" if half else None,
            )
            thaw(self.backbone, tuning.trainable)
            self._shape = self.backbone.output_shape[1:]
            self.head = build_head(head, self._shape, n_classes, self._recipe, seed=0)
            shown = keras.Input((source.image_size_px, source.image_size_px, 3), name="shown")
            self.model = keras.Model(shown, self.head(self.backbone(shown, training=False)))
            optimizer = keras.optimizers.AdamW(tuning.learning_rate, weight_decay=tuning.weight_decay)
            optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
            if half:
                optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
            optimizer.build(self.model.trainable_variables)
            self.model.compile(
                optimizer=optimizer,
                loss="sparse_categorical_crossentropy",
                metrics=["accuracy"],
                jit_compile=tuning.jit_compile,
            )
        # Random states of the head count as well; the rest of the backbone never changes.
        self._variables = [*self.backbone.trainable_variables, *self.head.variables, *optimizer.variables]
        self._fresh = self.state()

    def start(self, linear: Linear, *, seed: int) -> None:
        """Makes the network as good as new, without building or compiling it again.

        Args:
            linear: The regression from which the head starts.
            seed: Of what else is drawn in the head.
        """
        self.restore(self._fresh)
        fresh = build_head(self._name, self._shape, self._n_classes, self._recipe, seed=seed)
        set_linear(fresh, linear)
        for variable, start in zip(self.head.variables, fresh.variables, strict=True):
            variable.assign(start.numpy())

    def state(self) -> list[Array]:
        """All that a fit changes: weights, random states, the optimizer's variables."""
        return [np.array(variable.numpy()) for variable in self._variables]

    def restore(self, state: Sequence[Array]) -> None:
        """Goes back to a state."""
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def trained(self) -> list[Array]:
        """The weights that are fitted, those of the backbone first."""
        return [np.array(variable.numpy()) for variable in self.model.trainable_variables]

    def set_trained(self, weights: Sequence[Array]) -> None:
        """Replaces the weights that are fitted."""
        for variable, value in zip(self.model.trainable_variables, weights, strict=True):
            variable.assign(value)

    def fit_epoch(self, batches: tf.data.Dataset, *, done: int, steps: int) -> dict[str, float]:
        """Fits for one epoch.

        Args:
            batches: Of the epoch: the backbone's input, class numbers, weights.
            done: Steps of the fit before this epoch.
            steps: Those of the whole fit.

        Returns:
            `loss`, weighted, and `accuracy`, both on the images as they were changed, in the course of the
            epoch.
        """
        with self._strategy.scope():
            rate = _Rate(self._rate, done, steps)
            found = self.model.fit(batches, epochs=1, verbose=0, shuffle=False, callbacks=[rate])
        return {name: float(found.history[name][-1]) for name in ("loss", "accuracy")}

    def give(self, backbone: keras.Model, head: keras.Model) -> None:
        """Copies the weights into models of the same architecture, which may have another precision."""
        backbone.set_weights(self.backbone.get_weights())
        head.set_weights(self.head.get_weights())


class _Rate(keras.callbacks.Callback):
    """Sets the learning rate of each step: half a cosine over the whole fit.

    Not a schedule of Keras, which would be part of the compiled step, while fits differ in their length.
    """

    def __init__(self, rate: float, done: int, steps: int) -> None:
        super().__init__()
        self._rate, self._done, self._steps = rate, done, steps

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.model.optimizer.learning_rate = self._rate * cosine(self._done + batch, self._steps)
