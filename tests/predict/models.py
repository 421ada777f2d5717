"""A small classifier with everything that a real one may have, and its exported file."""

import keras
import numpy as np

from lung_attention.evaluation.familiarity import fit_familiarity
from lung_attention.images.view import View
from lung_attention.models.attention import SoftAttention
from lung_attention.models.classifier import build_classifier, build_preprocessing
from lung_attention.models.export import export_onnx
from lung_attention.predict.about import KEY, About, Shown

CLASSES = ["benign", "malignant"]


def small_classifier(*, crop_px=None, standardise=False, antialias=True, turns=None, attention=True):
    view = View(crop_px, "bilinear", antialias, standardise)
    preprocessing = build_preprocessing("mobilenetv2", view, 32)
    keras.utils.set_random_seed(3)
    shown = keras.Input((32, 32, 3))
    features = keras.layers.Conv2D(5, 8, strides=8, activation="relu")(shown)
    backbone = keras.Model(shown, features, name="small_backbone")
    given = keras.Input(backbone.output_shape[1:])
    x = given
    if attention:
        x = SoftAttention(n_maps=3, gamma=0.5, activation="relu", seed=1, name="soft_attention")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(2, activation="softmax", kernel_initializer="he_normal", name="probabilities")(x)
    head = keras.Model(given, x, name="head")
    model = build_classifier(preprocessing, backbone, head, turns=turns)
    if turns is not None:
        model.get_layer("mean_of_turns").temperature.assign(0.7)
    return model


def familiarity(seed=0):
    rng = np.random.default_rng(seed)
    return fit_familiarity(
        rng.uniform(size=(60, 5)), rng.integers(0, 2, 60), np.arange(60), share=0.95, folds=5, seed=0
    )


def about(**changes):
    values = {
        "name": "slices-small-attention-published-grouped",
        "title": "Slices",
        "classes": CLASSES,
        "shown": Shown(crop_px=None, size_px=32),
        "window": (-600.0, 1500.0),
        "metrics": {"balanced_accuracy": (0.7, 0.6, 0.8)},
        "measured": "grouped split, 60 images, intervals over patient",
        "confidence": 0.95,
        "coverage": 0.9,
        "covered": 0.91,
        "set_size": 1.2,
        "set_threshold": 0.45,
        "familiar": 0.95,
        "distance_threshold": 100.0,
        "limits": ["Not for diagnosis."],
        "licence": "CC0",
        "citation": "nobody",
        "model_sha256": "0" * 64,
        "code": "test",
    }
    return About(**(values | changes))


def exported(path, model=None, **changes):
    """Writes a model and returns the file."""
    export_onnx(
        model or small_classifier(),
        path,
        familiarity=familiarity(),
        metadata={KEY: about(**changes).model_dump_json()},
    )
    return path
