"""The whole classifier: what the trained head says of features, the saved model says of the raw image."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from small_recipe import small_recipe

from lung_attention.files import read_json
from lung_attention.images.view import View
from lung_attention.models.backbones import random_backbone
from lung_attention.models.classifier import build_classifier, build_preprocessing
from lung_attention.models.feature_file import load_features
from lung_attention.models.features import extract_features
from lung_attention.models.heads import build_head
from lung_attention.models.saving import save_model
from lung_attention.training.fitting import compile_head, fit_head, predict

SIZE = 64  # 2 x 2 positions: a single one leaves the attention nothing to choose
CLASSES = 2


def raw_images():
    """Images of two kinds (bright left or right) and of different sizes."""
    random = np.random.default_rng(0)
    for number in range(16):
        height, width = 40 + number % 3, 50 - number % 4
        image = random.integers(0, 100, (height, width, 3))
        half = slice(None, width // 2) if number % 2 else slice(width // 2, None)
        image[:, half] += 120
        yield image.astype(np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A tiny attention cell, trained on features and saved as the training stage saves it."""
    folder = tmp_path_factory.mktemp("cell")
    images = list(raw_images())
    calibration = np.random.default_rng(1).integers(0, 256, (8, SIZE, SIZE, 3), dtype=np.uint8)
    backbone = random_backbone("mobilenetv2", images=calibration, seed=0)
    preprocessing = build_preprocessing(
        "mobilenetv2", View(None, "bilinear", antialias=False, standardise=False), SIZE
    )
    path, info_path = folder / "f.npy", folder / "f.json"
    names = [str(number) for number in range(len(images))]
    extract_features(
        images, names, preprocessing=preprocessing, backbone=backbone, batch_size=5, path=path,
        info_path=info_path, info={},
    )  # fmt: skip
    features = load_features(path, read_json(info_path), names)
    recipe = small_recipe(epochs=8, batch_size=8, learning_rate=1e-3, hidden_units=(16,), attention_maps=4)
    head = build_head("attention", features.shape[1:], CLASSES, recipe, seed=0)
    rows = np.arange(len(images))
    compile_head(head, recipe)
    fit_head(
        head, features, rows % CLASSES, train=rows, validation=rows[:0], recipe=recipe, seed=0,
        on_epoch=lambda *_: None,
    )  # fmt: skip
    model_path = folder / "model.keras"
    save_model(build_classifier(preprocessing, backbone, head), model_path)
    return images, predict(head, features, rows, batch_size=8), model_path


@pytest.fixture(scope="module")
def loaded(trained):
    return keras.saving.load_model(trained[2])


def probabilities_of(model, images):
    return np.concatenate([np.asarray(model(image[None], training=False)) for image in images])


def test_features_and_head_say_what_the_model_says_of_the_raw_image(trained, loaded):
    images, expected, _ = trained
    found = probabilities_of(loaded, images)
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).all()
    assert len(set(expected.argmax(axis=1))) == CLASSES  # it learned something
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


def test_it_opens_where_only_the_layers_are_registered_and_says_the_same(trained, loaded, tmp_path):
    images, _, model_path = trained
    np.save(tmp_path / "image.npy", images[0])
    code = (
        "import sys, json, numpy\n"
        "from lung_attention.models.saved import open_model\n"
        "model = open_model(sys.argv[1])\n"
        "print(json.dumps(numpy.asarray(model(numpy.load(sys.argv[2])[None])).tolist()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(model_path), str(tmp_path / "image.npy")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(found, probabilities_of(loaded, images[:1]), atol=1e-5)


def test_the_same_weights_give_the_same_bytes_in_another_process(tmp_path):
    code = """
import sys
from pathlib import Path
from lung_attention.models.heads import build_head
from lung_attention.models.saving import save_model
from small_recipe import small_recipe
head = build_head("attention", (2, 2, 3), 2, small_recipe(hidden_units=(4,)), seed=0)
save_model(head, Path(sys.argv[1]))
head.save(sys.argv[2])
"""
    ours, by_keras = [], []
    for number in range(2):
        paths = [tmp_path / f"ours{number}.keras", tmp_path / f"keras{number}.keras"]
        command = [sys.executable, "-c", code, *map(str, paths)]
        # Where `small_recipe` lies.
        subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True)
        ours.append(paths[0].read_bytes())
        by_keras.append(paths[1].read_bytes())
    assert ours[0] == ours[1]
    assert by_keras[0] != by_keras[1], "Keras does it by itself: save_model can go"
    one, other = (
        keras.saving.load_model(tmp_path / name).get_weights() for name in ("ours0.keras", "keras0.keras")
    )
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_the_file_carries_no_optimizer(trained, loaded):
    with zipfile.ZipFile(trained[2]) as file, h5py.File(io.BytesIO(file.read("model.weights.h5"))) as weights:
        names = []
        weights.visit(names.append)
    assert names
    assert not [name for name in names if "optimizer" in name.split("/")]
    assert getattr(loaded, "optimizer", None) is None


def test_the_attention_is_connected(trained, loaded):
    images = trained[0][:4]
    before = probabilities_of(loaded, images)
    layer = loaded.get_layer("head").get_layer("soft_attention")
    kernels = np.asarray(layer.kernels)
    layer.kernels.assign(np.random.default_rng(5).normal(size=kernels.shape))
    changed = np.abs(probabilities_of(loaded, images) - before).max()
    layer.kernels.assign(kernels)
    assert changed > 1e-4
    np.testing.assert_array_equal(probabilities_of(loaded, images), before)
