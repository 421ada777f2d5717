"""Backbones: all of keras.applications, scaled as each expects, frozen, of a sensible spread at random."""

import importlib

import keras
import numpy as np
import pytest

from lung_attention.errors import UserError
from lung_attention.images.view import View
from lung_attention.models.backbone_table import BACKBONES, title
from lung_attention.models.backbones import build_backbone, random_backbone, thaw
from lung_attention.models.classifier import build_preprocessing

SIZE = 64
WHOLE = View(None, "bilinear", antialias=False, standardise=False)


def smooth_images(seed, n):
    """Smooth random images, as pictures are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return np.repeat(np.repeat(coarse, SIZE // 8, axis=1), SIZE // 8, axis=2)


def features_of(backbone, name, images):
    return np.asarray(backbone(build_preprocessing(name, WHOLE, SIZE)(images), training=False))


# ----- The table -----

# The module of each application, where its preprocess_input is.
MODULES = {
    "mobilenet": "mobilenet",
    "resnet50v2": "resnet_v2",
    "resnet50": "resnet",
    "vgg16": "vgg16",
    "densenet169": "densenet",
    "efficientnetb0": "efficientnet",
    "efficientnetv2b0": "efficientnet_v2",
    "mobilenetv3small": "mobilenet_v3",
    "convnexttiny": "convnext",
    "xception": "xception",
    "inceptionresnetv2": "inception_resnet_v2",
    "nasnetmobile": "nasnet",
}
PIXELS = np.random.default_rng(0).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


def test_every_backbone_is_one_of_keras():
    assert len(BACKBONES) > 35
    for name, backbone in BACKBONES.items():
        assert name == backbone.application.lower()
        assert callable(getattr(keras.applications, backbone.application))


def test_no_classifier_of_keras_is_left_out():
    known = {backbone.application for backbone in BACKBONES.values()}
    functions = {name for name in dir(keras.applications) if name[0].isupper()}
    assert functions == known


@pytest.mark.parametrize("name", MODULES)
def test_pixels_are_scaled_as_keras_does(name):
    module = importlib.import_module(f"keras.applications.{MODULES[name]}")
    expected = module.preprocess_input(PIXELS.astype("float32").copy())
    found = np.asarray(build_preprocessing(name, WHOLE, SIZE)(PIXELS))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("name", ["mobilenetv2", "densenet121"])
def test_the_papers_backbones_get_pixels_over_255(name):
    found = np.asarray(build_preprocessing(name, WHOLE, SIZE)(PIXELS))
    np.testing.assert_allclose(found, PIXELS / 255, atol=1e-6)


def test_a_backbone_has_a_name_for_people():
    assert title("densenet121") == "DenseNet121"
    assert title("mine") == "mine"


# ----- The networks -----


@pytest.fixture(scope="module", params=["densenet121", "mobilenetv2"])
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
    other = next(each for each in ("mobilenetv2", "densenet121") if each != name)
    for wrong, file in ((other, "b"), (name, "cut"), (name, "missing")):
        with pytest.raises(UserError, match=rf"{file}\.weights\.h5 does not fit"):
            build_backbone(wrong, SIZE, weights=tmp_path / f"{file}.weights.h5")


@pytest.mark.parametrize(("name", "channels"), [("mobilenet", 1024), ("vgg16", 512), ("resnet50v2", 2048)])
def test_another_backbone_works_as_those_of_the_paper(name, channels):
    images = smooth_images(0, 4)
    backbone = random_backbone(name, images=images, seed=0)
    assert backbone.name == name
    assert backbone.trainable_weights == []
    features = features_of(backbone, name, images)
    assert features.shape == (4, 2, 2, channels)
    assert np.isfinite(features).all()
    assert features.std(axis=0).mean() > 0.01


@pytest.mark.parametrize("name", ["resnet50v2", "resnet50"])  # the latter takes blue first
def test_a_random_backbone_is_calibrated_on_pixels_as_it_expects_them(name):
    """With the moving statistics of the images, a pass over these gives what training mode gives."""
    images = smooth_images(0, 4)
    backbone = random_backbone(name, images=images, seed=0)
    scaled = build_preprocessing(name, WHOLE, SIZE)(images)
    first = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.BatchNormalization))
    before = keras.Model(backbone.input, first.input)(scaled, training=False)
    np.testing.assert_allclose(
        np.asarray(first.moving_mean), np.asarray(before).mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4
    )


# ----- Fitting the last layers -----


@pytest.mark.parametrize(
    ("name", "share", "first"),
    [
        ("mobilenetv2", 0.5, "block_8_project"),
        ("mobilenetv2", 0.001, "Conv_1"),
        ("mobilenetv2", 1.0, "Conv1"),
        ("densenet121", 0.5, "conv4_block11_2_conv"),
    ],
)
def test_the_last_share_of_the_convolutions_is_fitted_and_no_normalisation(name, share, first):
    backbone = build_backbone(name, 32)
    thaw(backbone, share)
    names = [layer.name for layer in backbone.layers]
    behind = set(names[names.index(first) :])
    fitted = [layer for layer in backbone.layers if layer.trainable_weights]
    assert fitted[0].name == first
    assert {layer.name for layer in fitted} <= behind
    of_backbone = {id(weights) for weights in backbone.trainable_weights}
    for layer in backbone.layers:
        normalises = isinstance(layer, keras.layers.BatchNormalization)
        expected = bool(layer.weights) and layer.name in behind and not normalises
        assert bool(layer.trainable_weights) == expected, layer.name
        assert all((id(weights) in of_backbone) == expected for weights in layer.weights)
