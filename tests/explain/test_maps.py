import keras
import numpy as np
import pytest
from predict.models import small_classifier

from lung_attention.explain.location import likeness
from lung_attention.explain.maps import BACKBONE, Looked, noisy, shuffled
from lung_attention.explain.measure import (
    Noise,
    evenly,
    likeness_after_shuffling,
    likeness_of_refits,
    look,
    pictured,
)

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


def test_gradcam_is_that_of_the_class_asked_for(looked, features):
    said = looked.maps(features)
    best = said.probabilities.argmax(axis=1)
    same, other = looked.maps(features, best), looked.maps(features, 1 - best)
    assert np.array_equal(same.gradcam, said.gradcam)
    assert np.abs(other.gradcam - said.gradcam).max() > 1e-3
    assert np.array_equal(other.probabilities, said.probabilities)


def test_shuffling_goes_from_the_output_down_and_is_undone(looked, features):
    shown = looked.shown(IMAGES)
    before = looked.maps(features)
    layers = []
    for layer in shuffled(looked, draws=2, seed=0):
        layers.append(layer)
        found = looked.maps(looked.features(shown))
        # What stands behind the attention has no part in its map; what makes it has.
        assert np.array_equal(found.attention, before.attention) == (layer == "probabilities")
        assert np.abs(found.probabilities - before.probabilities).max() > 1e-3
        sizes = [np.sort(weights, axis=None) for weights in looked.attention.get_weights()]
    kept = [np.sort(weights, axis=None) for weights in looked.attention.get_weights()]
    assert all(np.array_equal(one, other) for one, other in zip(sizes, kept, strict=True))
    assert layers == [name for name in ("probabilities", "soft_attention", BACKBONE) for _ in range(2)]
    after = looked.maps(looked.features(shown))
    assert np.array_equal(after.attention, before.attention)
    assert np.array_equal(after.probabilities, before.probabilities)


def test_a_shuffling_that_breaks_off_is_undone(looked, features):
    before = looked.maps(features)
    steps = shuffled(looked, draws=1, seed=0)
    next(steps)
    steps.close()
    assert np.array_equal(looked.maps(features).probabilities, before.probabilities)


def test_noise_is_as_strong_as_asked_and_of_its_own_in_each_copy():
    shown = np.zeros((2, 64, 64, 3), np.float32)
    shown[0, :32], shown[1, :32] = 1.0, 10.0
    first, second = noisy(shown, copies=2, strength=0.1, seed=0)
    for row, deviation in ((0, 0.1), (1, 1.0)):
        assert (first - shown)[row].std() == pytest.approx(deviation, rel=0.05)
    assert abs(np.corrcoef((first - shown).ravel(), (second - shown).ravel())[0, 1]) < 0.05


def test_likeness_after_shuffling_starts_at_one_for_what_does_not_depend(looked):
    shown = looked.shown(IMAGES)
    first, *_, last = likeness_after_shuffling(looked, shown, draws=2, noise=Noise(3, 0.1), seed=0)
    assert first["layer"] == "probabilities"
    assert last["layer"] == BACKBONE
    for kind in ("attention", "attention_smoothed"):
        assert first[kind] == pytest.approx(1.0)
        assert last[kind] < 0.9
    assert first["gradcam"] < 0.99


def test_the_smoothed_test_compares_means_of_maps_of_noisy_images(looked):
    """By hand, for the one step of which the attention's own weights are shuffled."""
    shown, noise = looked.shown(IMAGES), Noise(3, 0.1)
    steps = likeness_after_shuffling(looked, shown, draws=1, noise=noise, seed=5)
    copies = [looked.features(one) for one in noisy(shown, copies=3, strength=0.1, seed=5)]

    def mean():
        return np.mean([looked.attention_of(one) for one in copies], axis=0)

    before = mean()
    (after,) = (mean() for layer in shuffled(looked, draws=1, seed=5) if layer == "soft_attention")
    assert steps[1]["layer"] == "soft_attention"
    assert steps[1]["attention_smoothed"] == pytest.approx(likeness(before, after), abs=0.02)


def test_fits_are_alike_as_far_as_their_heads_are(looked, features):
    shown = looked.shown(IMAGES)
    before = looked.maps(features)
    same = likeness_of_refits(looked, shown, [looked.head], seed=0)
    assert same["attention"] == same["gradcam"] == pytest.approx(1.0)
    with looked.untrained(4):
        other = keras.models.clone_model(looked.head)
        other.set_weights(looked.head.get_weights())
    found = likeness_of_refits(looked, shown, [other], seed=0)
    assert found["attention"] < 0.99
    assert same["untrained"] == found["untrained"] < 0.99
    assert np.array_equal(looked.maps(features).attention, before.attention)


def test_rows_are_spaced_over_each_class():
    labels = ["a"] * 10 + ["b"] * 3
    assert evenly(labels, 4).tolist() == [0, 3, 6, 9, 10, 11, 12]
    assert evenly(labels, 1).tolist() == [0, 10]


def test_pictures_show_right_and_wrong_ones_of_each_class():
    labels = ["a"] * 6 + ["b"] * 4
    right = np.array([True, True, True, True, False, False, True, True, True, True])
    assert pictured(right, labels, 4).tolist() == [0, 3, 4, 5, 6, 7, 8, 9]
    assert pictured(right, labels, 2).tolist() == [0, 4, 6, 9]
