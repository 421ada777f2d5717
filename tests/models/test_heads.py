"""The table of heads: each builds, and all start from the same dense weights."""

import keras
import numpy as np
import pytest
from small_recipe import small_recipe

from lung_attention.models.heads import HEADS, build_head
from lung_attention.models.saved import open_model

SHAPE = (4, 5, 6)
FEATURES = np.random.default_rng(2).normal(size=(3, *SHAPE)).astype("float32")


@pytest.mark.parametrize("head", HEADS)
def test_each_head_gives_probabilities(head):
    built = build_head(head, SHAPE, 3, small_recipe(hidden_units=(8, 4)), seed=5)
    probabilities = np.asarray(built(FEATURES))
    assert probabilities.shape == (3, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.ptp(probabilities, axis=0).max() > 1e-4  # images differ


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("pooling", ["flatten", "average"])
def test_all_heads_of_a_seed_start_from_the_same_dense_weights(head, pooling):
    recipe = small_recipe(hidden_units=(8, 4), pooling=pooling)
    plain = build_head("plain", SHAPE, 3, recipe, seed=5)
    built = build_head(head, SHAPE, 3, recipe, seed=5)
    other = build_head(head, SHAPE, 3, recipe, seed=6)
    for name in ("dense_1", "dense_2", "probabilities"):
        expected, found, elsewhere = (
            np.asarray(model.get_layer(name).kernel) for model in (plain, built, other)
        )
        np.testing.assert_array_equal(expected, found)
        assert np.abs(found - elsewhere).max() > 0


@pytest.mark.parametrize("head", HEADS)
def test_layers_of_one_shape_start_from_different_weights(head):
    built = build_head(head, SHAPE, 6, small_recipe(hidden_units=(6, 6), pooling="average"), seed=5)
    kernels = [np.asarray(built.get_layer(name).kernel) for name in ("dense_1", "dense_2", "probabilities")]
    assert {kernel.shape for kernel in kernels} == {(6, 6)}
    assert len({kernel.tobytes() for kernel in kernels}) == 3


@pytest.mark.parametrize("head", HEADS)
def test_the_recipe_says_how_wide_and_how_deep(head):
    recipe = small_recipe(hidden_units=(7, 5, 3), dropout=0.4, l2=0.01)
    built = build_head(head, SHAPE, 2, recipe, seed=0)
    assert [built.get_layer(f"dense_{k}").units for k in (1, 2, 3)] == [7, 5, 3]
    assert [built.get_layer(f"dropout_{k}").rate for k in (1, 2, 3)] == [0.4] * 3
    squares = sum(float((np.asarray(built.get_layer(f"dense_{k}").kernel) ** 2).sum()) for k in (1, 2, 3))
    assert float(sum(built.losses)) == pytest.approx(0.01 * squares, rel=1e-5)
    without = build_head(head, SHAPE, 2, small_recipe(), seed=0)
    assert not without.losses
    assert not [layer for layer in without.layers if isinstance(layer, keras.layers.Dropout)]


@pytest.mark.parametrize("head", HEADS)
def test_pooling_leaves_one_value_a_channel(head):
    built = build_head(head, SHAPE, 2, small_recipe(pooling="average"), seed=0)
    assert built.get_layer("dense_1").kernel.shape == (6, 8)
    built = build_head(head, SHAPE, 2, small_recipe(), seed=0)
    assert built.get_layer("dense_1").kernel.shape == (4 * 5 * 6, 8)


def test_the_recipes_attention_is_the_heads():
    recipe = small_recipe(attention_maps=3, attention_gamma=0.7, attention_activation="linear")
    layer = build_head("attention", SHAPE, 2, recipe, seed=0).get_layer("soft_attention")
    assert layer.n_maps == 3
    assert float(layer.gamma) == pytest.approx(0.7)
    assert layer.activation is keras.activations.linear


def test_without_gamma_the_attention_head_says_what_the_plain_one_says():
    recipe = small_recipe(attention_gamma=0.0)
    plain, attention = (
        np.asarray(build_head(head, SHAPE, 2, recipe, seed=0)(FEATURES)) for head in ("plain", "attention")
    )
    np.testing.assert_allclose(plain, attention, atol=1e-6)


def test_an_unknown_head_is_none():
    with pytest.raises(KeyError):
        build_head("attentive", SHAPE, 2, small_recipe(), seed=0)


def test_saved_heads_open(tmp_path):
    for head in HEADS:
        built = build_head(head, SHAPE, 2, small_recipe(), seed=0)
        built.save(tmp_path / f"{head}.keras")
        loaded = open_model(tmp_path / f"{head}.keras")
        np.testing.assert_array_equal(np.asarray(loaded(FEATURES)), np.asarray(built(FEATURES)))
