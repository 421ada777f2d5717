"""The soft attention against its equations, worked out in numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_recipe import small_recipe

from lung_attention.models.attention import SoftAttention
from lung_attention.models.heads import build_head

ROWS, COLS, CHANNELS, MAPS = 4, 5, 6, 3


@pytest.fixture
def layer():
    layer = SoftAttention(n_maps=MAPS, gamma=0.3, activation="relu", seed=7)
    layer.build((None, ROWS, COLS, CHANNELS))
    random = np.random.default_rng(1)
    layer.biases.assign(random.normal(size=MAPS))
    return layer


@pytest.fixture
def features():
    return np.random.default_rng(2).normal(size=(2, ROWS, COLS, CHANNELS)).astype("float32")


def alpha_in_numpy(features, kernels, biases):
    """Eq. 1 and 2, position by position, without any convolution routine."""
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)))
    alpha = np.zeros((*features.shape[:3], 1))
    for k in range(kernels.shape[-1]):
        maps = np.zeros(features.shape[:3])
        for r in range(features.shape[1]):
            for c in range(features.shape[2]):
                patch = padded[:, r : r + 3, c : c + 3, :]
                maps[:, r, c] = np.maximum((patch * kernels[..., k]).sum(axis=(1, 2, 3)) + biases[k], 0)
        exponentials = np.exp(maps)
        alpha[..., 0] += exponentials / exponentials.sum(axis=(1, 2), keepdims=True)
    return alpha


def test_equations_by_hand(layer, features):
    alpha = alpha_in_numpy(features, np.asarray(layer.kernels), np.asarray(layer.biases))
    np.testing.assert_allclose(np.asarray(layer.attention_map(features)), alpha, rtol=1e-4)
    np.testing.assert_allclose(np.asarray(layer(features)), features + 0.3 * alpha * features, rtol=1e-4)


def test_the_maps_are_those_of_an_ordinary_convolution(features):
    layer = SoftAttention(n_maps=MAPS, gamma=0.3, activation="linear", seed=7)
    layer.build(features.shape)
    maps = keras.ops.conv(features, layer.kernels, padding="same")
    flat = keras.ops.softmax(keras.ops.reshape(maps, (2, -1, MAPS)), axis=1)
    expected = keras.ops.reshape(keras.ops.sum(flat, axis=-1), (2, ROWS, COLS, 1))
    np.testing.assert_allclose(np.asarray(layer.attention_map(features)), np.asarray(expected), rtol=1e-4)


def test_one_position_by_hand():
    # One position: the softmax over it is 1 for each of the n maps, so the output is T (1 + γ n).
    layer = SoftAttention(n_maps=4, gamma=0.25, activation="relu", seed=0)
    np.testing.assert_allclose(np.asarray(layer(np.full((1, 1, 1, 2), 3.0, "float32"))), 3.0 * 2.0)


def test_alpha_sums_to_the_number_of_maps(layer, features):
    total = np.asarray(layer.attention_map(features)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, MAPS, rtol=1e-5)


@pytest.mark.parametrize(("channels", "expected"), [(1024, 147_473), (1280, 184_337)])
def test_parameters_added(channels, expected):
    layer = SoftAttention(n_maps=16, gamma=0.01, activation="relu")
    layer.build((None, 7, 7, channels))
    assert layer.count_params() == 9 * channels * 16 + 16 + 1 == expected


def test_alpha_depends_on_every_channel(layer, features):
    # A copied implementation of the unit sees channels 0 to 2 only, at the right parameter count.
    inputs = tf.convert_to_tensor(features)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        alpha = layer.attention_map(inputs)
        value = tf.reduce_sum(alpha * tf.random.stateless_normal(alpha.shape, [1, 2]))
    gradient = np.abs(tape.gradient(value, inputs).numpy()).sum(axis=(0, 1, 2))
    assert (gradient > 1e-6).all()


def test_the_loss_reaches_every_weight(features):
    recipe = small_recipe(hidden_units=(8, 4), attention_maps=MAPS)
    head = build_head("attention", (ROWS, COLS, CHANNELS), 2, recipe, seed=3)
    with tf.GradientTape() as tape:
        loss = keras.losses.sparse_categorical_crossentropy(np.array([0, 1]), head(features))
    gradients = tape.gradient(loss, head.trainable_weights)
    for weight, gradient in zip(head.trainable_weights, gradients, strict=True):
        assert np.abs(np.asarray(gradient)).max() > 0, weight.path
    assert {"kernels", "biases", "gamma"} <= {weight.name for weight in head.trainable_weights}


def test_config_round_trip(layer, features):
    copy = SoftAttention.from_config(layer.get_config())
    copy.build(features.shape)
    assert copy.get_config() == layer.get_config()
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(copy(features)), np.asarray(layer(features)))


def test_save_and_load(features, tmp_path):
    inputs = keras.Input((ROWS, COLS, CHANNELS))
    model = keras.Model(inputs, SoftAttention(n_maps=2, gamma=0.5, activation="relu")(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(features)), np.asarray(model(features)))


def test_no_maps_is_refused():
    with pytest.raises(ValueError, match="n_maps"):
        SoftAttention(n_maps=0, gamma=0.01, activation="relu")
