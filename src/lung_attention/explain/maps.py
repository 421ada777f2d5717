"""Maps of a classifier: its soft attention, and Grad-CAM of the class that it predicts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from lung_attention.models.attention import SoftAttention
from lung_attention.models.parts import Parts, batches

Floats = npt.NDArray[np.float64]

_PREDICTED = -1  # in place of a class: the one that is predicted

BACKBONE = "backbone"
"""The name of the last step of a shuffling, all of the layers below the head."""


@dataclass(frozen=True)
class Maps:
    """What a classifier says of images, and where it looks.

    Attributes:
        probabilities: `(n, classes)`.
        attention: α `(n, rows, cols)`.
        gradcam: `(n, rows, cols)`, 0 or more.
    """

    probabilities: Floats
    attention: Floats
    gradcam: Floats


class Looked(Parts):
    """A classifier with an attention head, taken apart.

    Args:
        model: Of `build_classifier`, its head with a layer `soft_attention`.

    Attributes:
        attention: The layer.
    """

    def __init__(self, model: keras.Model) -> None:
        super().__init__(model)
        self.attention: SoftAttention = self.head.get_layer("soft_attention")
        self._last = self.head.get_layer("probabilities")
        self._before_last = keras.Model(self.head.inputs[0], self._last.input)
        # Maps are made thousands of times, of few images each: as a graph that takes a tenth of the time.
        shape = (None, *self.head.input_shape[1:])
        self._maps = tf.function(
            self._graph, input_signature=[tf.TensorSpec(shape), tf.TensorSpec((None,), tf.int64)]
        )

    def maps(self, features: npt.NDArray[np.floating], classes: npt.NDArray[np.int64] | None = None) -> Maps:
        """The maps of features.

        Grad-CAM (Selvaraju et al., ICCV 2017) weighs each channel by the mean gradient of the logit of a
        class, and keeps what speaks for the class.

        Args:
            features: `(n, rows, cols, channels)`.
            classes: Of which class Grad-CAM is, `(n,)`; None for the predicted ones.
        """
        if classes is None:
            classes = np.full(len(features), _PREDICTED)
        found = [
            self._maps(tf.constant(features[rows], tf.float32), tf.constant(classes[rows]))
            for rows in batches(len(features))
        ]
        return Maps(*(np.concatenate(parts).astype(np.float64) for parts in zip(*found, strict=True)))

    def attention_of(self, features: npt.NDArray[np.float32]) -> Floats:
        """α alone, `(n, rows, cols)`."""
        parts = [np.asarray(self.attention.attention_map(features[rows])) for rows in batches(len(features))]
        return np.concatenate(parts)[..., 0].astype(np.float64)

    def _graph(self, features: tf.Tensor, classes: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = self._before_last(features, training=False) @ self._last.kernel + self._last.bias
            chosen = tf.where(classes == _PREDICTED, tf.argmax(logits, axis=1), classes)
            of_class = tf.gather(logits, chosen, batch_dims=1)
        weights = tf.reduce_mean(tape.gradient(of_class, features), axis=(1, 2), keepdims=True)
        gradcam = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))
        return tf.nn.softmax(logits), self.attention.attention_map(features)[..., 0], gradcam

    @contextmanager
    def untrained(self, seed: int) -> Iterator[None]:
        """Gives the attention the weights of one that was never fitted, for a while."""
        fresh = SoftAttention.from_config({**self.attention.get_config(), "seed": seed, "name": "fresh"})
        fresh.build(self.head.input_shape)
        with _given(self.attention, fresh.get_weights()):
            yield

    @contextmanager
    def refitted(self, head: keras.Model) -> Iterator[None]:
        """Gives the head the weights of another one of its kind, for a while."""
        with _given(self.head, head.get_weights()):
            yield


def shuffled(looked: Looked, *, draws: int, seed: int) -> Iterator[str]:
    """Shuffles the weights of ever more layers, from the output down.

    The cascading test of Adebayo et al. ("Sanity checks for saliency maps", NeurIPS 2018): a map that stays
    as it is does not tell what the network has learned in these layers. The weights of a tensor are permuted,
    so that their sizes stay what they were.

    Args:
        looked: The classifier; as it was, once all steps are taken.
        draws: How often each step is drawn.
        seed: Of the draws.

    Yields:
        The name of the layer that was shuffled last, `backbone` at the end, once a draw, while the classifier
        has the weights of that draw.
    """
    fitted = [layer for layer in reversed(looked.head.layers) if layer.get_weights()]
    steps = [*((layer.name, layer) for layer in fitted), (BACKBONE, looked.backbone)]
    kept = {name: layer.get_weights() for name, layer in steps}
    try:
        for number, (last, _) in enumerate(steps):
            for draw in range(draws):
                generator = np.random.default_rng([seed, number, draw])
                for name, layer in steps[: number + 1]:
                    layer.set_weights([_permuted(weights, generator) for weights in kept[name]])
                yield last
    finally:
        for name, layer in steps:
            layer.set_weights(kept[name])


def noisy(
    shown: npt.NDArray[np.float32], *, copies: int, strength: float, seed: int
) -> Iterator[npt.NDArray[np.float32]]:
    """Copies of what a backbone is given, each with noise of its own.

    Args:
        shown: `(n, side, side, 3)`.
        copies: How many.
        strength: Standard deviation of the noise as a share of the range of each image's values.
        seed: Of the noise.

    Yields:
        Arrays of that shape.
    """
    generator = np.random.default_rng(seed)
    deviation = strength * np.ptp(shown, axis=(1, 2, 3), keepdims=True)
    for _ in range(copies):
        yield shown + deviation * generator.standard_normal(shown.shape, dtype=np.float32)


@contextmanager
def _given(layer: keras.layers.Layer, weights: list[npt.NDArray[Any]]) -> Iterator[None]:
    """Gives a layer other weights, for a while."""
    kept = layer.get_weights()
    layer.set_weights(weights)
    try:
        yield
    finally:
        layer.set_weights(kept)


def _permuted(weights: npt.NDArray[Any], generator: np.random.Generator) -> npt.NDArray[Any]:
    return generator.permutation(weights.reshape(-1)).reshape(weights.shape)
