import keras
import numpy as np
import pytest
from predict.models import small_classifier

from lung_attention.explain.maps import Looked, after_shuffling
from lung_attention.explain.measure import evenly, likeness_after_shuffling, look, pictured

RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, (40, 30 + n, 3), dtype=np.uint8) for n in range(5)]


def read(rows):
    return (IMAGES[row] for row in rows)


@pytest.fixture(scope="module")
def looked():
    return Looked(small_classifier())


@pytest.fixture(scope="module")
def features(looked):
    return looked.features(looked.shown(IMAGES))


def test_probabilities_and_attention_are_those_of_the_classifier(looked, features):
    model = small_classifier()
    seen = look(looked, read, len(IMAGES), untrained=[11], what="a test")
    found = seen.maps
    expected = np.concatenate([np.asarray(model(image[None])) for image in IMAGES])
    assert found.probabilities == pytest.approx(expected, abs=1e-5)
    alpha = model.get_layer("head").get_layer("soft_attention").attention_map(features)
    assert found.attention == pytest.approx(np.asarray(alpha)[..., 0], abs=1e-6)
    with looked.untrained(11):
        assert seen.untrained[0] == pytest.approx(looked.maps(features).attention, abs=1e-6)


def test_gradcam_follows_its_formula_with_gradients_by_differences(looked, features):
    """Mean gradients of the predicted logit by finite differences, channel by channel."""
    head, last = looked.head, looked.head.get_layer("probabilities")
    before = keras.Model(head.input, last.input)
    kernel, bias = last.get_weights()

    def logits(x):
        return np.asarray(before(x)) @ kernel + bias

    one = features[:1].astype(np.float64)
    best = int(logits(one)[0].argmax())
    step = 1e-2
    weights = np.zeros(one.shape[-1])
    for channel in range(one.shape[-1]):
        for row, col in np.ndindex(one.shape[1:3]):
            up, down = one.copy(), one.copy()
            up[0, row, col, channel] += step
            down[0, row, col, channel] -= step
            weights[channel] += (logits(up)[0, best] - logits(down)[0, best]) / (2 * step)
    weights /= one.shape[1] * one.shape[2]
    expected = np.maximum((one[0] * weights).sum(axis=-1), 0)
    assert looked.maps(features[:1]).gradcam[0] == pytest.approx(expected, rel=0.02, abs=1e-3)


def test_an_untrained_attention_is_another_one_for_a_while(looked, features):
    before = looked.maps(features)
    with looked.untrained(seed=11):
        fresh = looked.maps(features)
    assert np.abs(fresh.attention - before.attention).max() > 1e-3
    assert np.array_equal(looked.maps(features).attention, before.attention)


def test_shuffling_goes_from_the_output_down_and_is_undone(looked, features):
    shown = looked.shown(IMAGES)
    before = looked.maps(features)
    steps = dict(after_shuffling(looked, shown, features, draws=2, seed=0))
    assert list(steps) == ["probabilities", "soft_attention", "backbone"]
    assert all(len(found) == 2 for found in steps.values())
    # What stands behind the attention has no part in its map; what makes it has.
    assert np.array_equal(steps["probabilities"][0].attention, before.attention)
    assert np.abs(steps["soft_attention"][0].attention - before.attention).max() > 1e-3
    assert np.abs(steps["backbone"][0].probabilities - before.probabilities).max() > 1e-3
    after = looked.maps(looked.features(shown))
    assert np.array_equal(after.attention, before.attention)
    assert np.array_equal(after.probabilities, before.probabilities)


def test_likeness_after_shuffling_starts_at_one_for_what_does_not_depend(looked):
    first, *_, last = likeness_after_shuffling(looked, IMAGES, draws=2, seed=0)
    assert first["layer"] == "probabilities"
    assert first["attention"] == pytest.approx(1.0)
    assert last["attention"] < 0.9


def test_rows_are_spaced_over_each_class():
    labels = ["a"] * 10 + ["b"] * 3
    assert evenly(labels, 4).tolist() == [0, 3, 6, 9, 10, 11, 12]
    assert evenly(labels, 1).tolist() == [0, 10]


def test_pictures_show_right_and_wrong_ones_of_each_class():
    labels = ["a"] * 6 + ["b"] * 4
    right = np.array([True, True, True, True, False, False, True, True, True, True])
    assert pictured(right, labels, 4).tolist() == [0, 3, 4, 5, 6, 7, 8, 9]
    assert pictured(right, labels, 2).tolist() == [0, 4, 6, 9]
