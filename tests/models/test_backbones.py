"""Backbones: frozen, of a sensible spread with random weights, new ones by a line in the table."""

import keras
import numpy as np
import pytest

from lung_attention.errors import UserError
from lung_attention.models.backbones import BACKBONES, BackboneSpec, build_backbone, random_backbone
from lung_attention.models.classifier import Resize, build_preprocessing

SIZE = 64


def smooth_images(seed, n):
    """Smooth random images, as pictures are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, SIZE // 8, axis=1), SIZE // 8, axis=2)


def features_of(backbone, name, images):
    spec = BACKBONES[name]
    return np.asarray(backbone(images.astype("float32") * spec.scale + spec.offset, training=False))


@pytest.fixture(scope="module", params=sorted(BACKBONES))
def calibrated(request):
    images = smooth_images(0, 8)
    return request.param, images, random_backbone(request.param, images=images, seed=3)


def test_random_features_have_a_sensible_spread(calibrated):
    name, _, backbone = calibrated
    features = features_of(backbone, name, smooth_images(1, 8))  # not those it was calibrated on
    assert features.shape == (8, 2, 2, {"mobilenetv2": 1280, "densenet121": 1024}[name])
    assert np.isfinite(features).all()
    assert 0.05 < features.std() < 20
    assert features.std(axis=0).mean() > 0.05  # images differ from each other, not only channels
    assert np.abs(features).max() < np.finfo(np.float16).max / 10


def test_calibration_is_what_gives_the_spread(calibrated):
    name, _, backbone = calibrated
    fresh = build_backbone(name, SIZE)
    images = smooth_images(1, 8)
    spread = features_of(backbone, name, images).std(axis=0).mean()
    assert features_of(fresh, name, images).std(axis=0).mean() < spread / 5


def test_equal_seeds_give_equal_weights(calibrated):
    name, images, backbone = calibrated
    again = random_backbone(name, images=images, seed=3)
    for one, other in zip(backbone.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore:Skipping nested container")  # of the files that do not fit
def test_it_is_frozen_and_its_weights_do_not_depend_on_the_size(calibrated, tmp_path):
    name, _, backbone = calibrated
    assert backbone.trainable_weights == []
    backbone.save_weights(tmp_path / "b.weights.h5")
    larger = build_backbone(name, 96, weights=tmp_path / "b.weights.h5")
    assert larger.trainable_weights == []
    assert larger.output_shape[1:3] == (3, 3)
    for one, other in zip(backbone.get_weights(), larger.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    (tmp_path / "cut.weights.h5").write_bytes((tmp_path / "b.weights.h5").read_bytes()[:100_000])
    other = next(each for each in BACKBONES if each != name)
    for wrong, file in ((other, "b"), (name, "cut"), (name, "missing")):
        with pytest.raises(UserError, match=rf"{file}\.weights\.h5 does not fit"):
            build_backbone(wrong, SIZE, weights=tmp_path / f"{file}.weights.h5")


def test_the_papers_backbones_get_pixels_over_255():
    for name in ("mobilenetv2", "densenet121"):
        white = np.full((1, 10, 20, 3), 255, np.uint8)
        scaled = build_preprocessing(name, Resize(SIZE, "bilinear", antialias=False))(white)
        np.testing.assert_allclose(np.asarray(scaled), np.ones((1, SIZE, SIZE, 3)), rtol=1e-6)


def test_a_new_backbone_is_one_line(monkeypatch):
    monkeypatch.setitem(BACKBONES, "mobilenet", BackboneSpec("MobileNet", 1 / 127.5, -1.0))
    images = smooth_images(0, 4)
    backbone = random_backbone("mobilenet", images=images, seed=0)
    scaled = build_preprocessing("mobilenet", Resize(SIZE, "bilinear", antialias=False))(images)
    assert -1 <= float(keras.ops.min(scaled)) < -0.5
    features = np.asarray(backbone(scaled))
    assert features.shape == (4, 2, 2, 1024)
    assert features.std(axis=0).mean() > 0.05
