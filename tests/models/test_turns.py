"""The symmetries of the square, and what a classifier says of all of them."""

import keras
import numpy as np
import pytest

from lung_attention.models.turns import MeanOfTurns, Turned, turned

SQUARE = np.random.default_rng(0).normal(size=(5, 5, 2)).astype(np.float32)


def test_quarter_turns_come_first_and_then_their_mirror_images():
    found = [turned(SQUARE, number, swapaxes=np.swapaxes) for number in range(8)]
    for number in range(4):
        np.testing.assert_array_equal(found[number], np.rot90(SQUARE, number))
    mirrored = [np.rot90(SQUARE[:, ::-1], number) for number in range(4)]
    for one in found[4:]:
        assert sum(np.array_equal(one, other) for other in mirrored) == 1
    assert len({one.tobytes() for one in found}) == 8


def test_a_batch_is_turned_as_each_of_its_images():
    batch = np.stack([SQUARE, SQUARE + 1])
    found = np.asarray(Turned(8)(batch)).reshape(8, 2, 5, 5, 2)
    for number in range(8):
        for image in range(2):
            expected = turned(batch[image], number, swapaxes=np.swapaxes)
            np.testing.assert_array_equal(found[number, image], expected)


def test_probabilities_are_averaged_image_by_image_and_then_tempered():
    random = np.random.default_rng(1)
    of_turns = random.dirichlet(np.ones(3), size=(4, 5)).astype(np.float32)
    layer = MeanOfTurns(4)
    mean = of_turns.mean(axis=0)
    np.testing.assert_allclose(np.asarray(layer(of_turns.reshape(20, 3))), mean, atol=1e-6)
    layer.set_weights([np.float32(2.0)])
    tempered = np.sqrt(mean) / np.sqrt(mean).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(layer(of_turns.reshape(20, 3))), tempered, atol=1e-6)
    assert not layer.trainable_weights
    certain = np.asarray(layer(np.tile(np.eye(3, dtype=np.float32)[:1], (4, 1))))
    assert np.isfinite(certain).all() and certain.argmax() == 0


def test_save_and_load(tmp_path):
    images = keras.Input((5, 5, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(Turned(4)(images))
    mean = MeanOfTurns(4, name="mean")
    model = keras.Model(images, mean(keras.layers.Softmax()(pooled)))
    mean.set_weights([np.float32(1.7)])
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    batch = np.random.default_rng(2).normal(size=(3, 5, 5, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(loaded(batch)), np.asarray(model(batch)))
    assert loaded.output_shape == (None, 3)


@pytest.mark.parametrize("turns", [0, 9])
def test_a_square_has_eight_symmetries(turns):
    with pytest.raises(ValueError, match=f"turns={turns}"):
        Turned(turns)
