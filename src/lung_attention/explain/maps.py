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
        self._before_last = keras.Model(self.head.input, self._last.input)

    def maps(self, features: npt.NDArray[np.float32]) -> Maps:
        """The maps of features.

        Grad-CAM (Selvaraju et al., ICCV 2017) weighs each channel by the mean gradient of the logit of the
        predicted class, and keeps what speaks for the class.
        """
        found = [self._maps(tf.constant(features[rows])) for rows in batches(len(features))]
        return Maps(*(np.concatenate(parts).astype(np.float64) for parts in zip(*found, strict=True)))

    def attention_of(self, features: npt.NDArray[np.float32]) -> Floats:
        """α alone, `(n, rows, cols)`."""
        parts = [np.asarray(self.attention.attention_map(features[rows])) for rows in batches(len(features))]
        return np.concatenate(parts)[..., 0].astype(np.float64)

    def _maps(self, features: tf.Tensor) -> tuple[npt.NDArray[Any], ...]:
        with tf.GradientTape() as tape:
            tape.watch(features)
            logits = self._before_last(features, training=False) @ self._last.kernel + self._last.bias
            best = tf.reduce_max(logits, axis=1)
        weights = tf.reduce_mean(tape.gradient(best, features), axis=(1, 2), keepdims=True)
        gradcam = tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))
        attention = self.attention.attention_map(features)[..., 0]
        return tf.nn.softmax(logits).numpy(), np.asarray(attention), gradcam.numpy()

    @contextmanager
    def untrained(self, seed: int) -> Iterator[None]:
        """Gives the attention the weights of one that was never fitted, for a while."""
        kept = self.attention.get_weights()
        fresh = SoftAttention.from_config({**self.attention.get_config(), "seed": seed, "name": "fresh"})
        fresh.build(self.head.input_shape)
        self.attention.set_weights(fresh.get_weights())
        try:
            yield
        finally:
            self.attention.set_weights(kept)


def after_shuffling(
    looked: Looked,
    shown: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32],
    *,
    draws: int,
    seed: int,
) -> Iterator[tuple[str, list[Maps]]]:
    """Maps after the weights of ever more layers are shuffled, from the output down.

    The cascading test of Adebayo et al. ("Sanity checks for saliency maps", NeurIPS 2018): a map that stays
    as it is does not tell what the network has learned in these layers. The weights of a tensor are permuted,
    so that their sizes stay what they were.

    Args:
        looked: The classifier; as it was, afterwards.
        shown: What its backbone is given.
        features: What the backbone makes of it.
        draws: How often each step is drawn.
        seed: Of the draws.

    Yields:
        The name of the layer that was shuffled last, `backbone` at the end, and the maps of each draw.
    """
    fitted = [layer for layer in reversed(looked.head.layers) if layer.get_weights()]
    steps = [*((layer.name, layer) for layer in fitted), ("backbone", looked.backbone)]
    kept = {name: layer.get_weights() for name, layer in steps}

    def shuffled(number: int, generator: np.random.Generator) -> None:
        for name, layer in steps[: number + 1]:
            layer.set_weights([_permuted(weights, generator) for weights in kept[name]])

    try:
        for number, (name, _) in enumerate(steps):
            found = []
            for draw in range(draws):
                shuffled(number, np.random.default_rng([seed, number, draw]))
                found.append(looked.maps(looked.features(shown) if name == "backbone" else features))
            yield name, found
    finally:
        for name, layer in steps:
            layer.set_weights(kept[name])


def _permuted(weights: npt.NDArray[Any], generator: np.random.Generator) -> npt.NDArray[Any]:
    return generator.permutation(weights.reshape(-1)).reshape(weights.shape)
