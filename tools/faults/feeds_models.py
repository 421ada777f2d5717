"""Models as inputs: names and addresses, ONNX and Keras files."""

from __future__ import annotations

import io
import json
import os
import random
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from faults.hostile_keras import poisoned
from faults.mutators import bytes_of, text_of, tree
from faults.parsers import Parser
from faults.workspace import ROOT
from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.paths import PARAMS
from lung_attention.predict.about import KEY, About, Shown
from lung_attention.predict.exported import ExportedModel
from lung_attention.predict.find import cell_named, find_model, of_profile

_CLASSES = ["benign", "malignant"]


def names(folder: Path) -> Parser:
    """What a user may call a model, in a folder without any, so that there is no good input."""
    config = load_config(ROOT / PARAMS)
    os.chdir(folder)
    (folder / PARAMS).write_bytes((ROOT / PARAMS).read_bytes())
    (folder / "datasets").symlink_to(ROOT / "datasets")
    seeds = [
        b"iqoth-densenet121-attention-published-grouped", b"a/model.onnx", b"model.keras", b"models:/x@y",
        b"./x/cells/y/model.keras", b"local\0sample", b"lidc-mobilenetv2-plain-recommended-grouped",
    ]  # fmt: skip
    hostile = [b"", b"/", b"-", b"----", b"\xff.onnx", b"/dev/zero.onnx", b"/dev/zero", b"\0"]

    def feed(content: bytes) -> None:
        name, _, profile = content.decode(errors="surrogateescape").partition("\0")
        if name.startswith(("models:", "runs:", "mlflow-artifacts:")):
            return  # of MLflow: its own tests
        of_profile(config, profile or None)
        cell_named(name)
        find_model(name, profile or None)

    return Parser([], [*seeds, *hostile], text_of, feed, (UserError,))


def onnx_model() -> bytes:
    """A model of two classes that has everything an exported one has but a network."""
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, None, None, 3])
    answer = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, 2])
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Reshape", ["m", "shape"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
        helper.make_node("Softmax", ["y"], ["probabilities"], axis=1),
    ]
    weights = [
        helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1]),
        helper.make_tensor("w", TensorProto.FLOAT, [1, 2], [0.01, -0.01]),
    ]
    graph = helper.make_graph(nodes, "model", [image], [answer], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    about = About(
        name="small", title="small", classes=_CLASSES, shown=Shown(crop_px=None, size_px=32), metrics={},
        measured="nothing", confidence=0.95, limits=[], licence="CC0", citation="nobody", code="none",
        model_sha256="0" * 64, set_threshold=0.4,
    )  # fmt: skip
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, about.model_dump_json()
    return bytes(model.SerializeToString())


def onnx_files(folder: Path) -> Parser:
    """Exported models, opened and asked."""
    pixels = np.zeros((8, 8, 3), dtype=np.uint8)

    def feed(content: bytes) -> None:
        path = folder / "model.onnx"
        path.write_bytes(content)
        model = ExportedModel(path, threads=1)
        model.said(model.predict(pixels))

    return Parser([onnx_model()], [b"", b"\0" * 100], bytes_of, feed, (UserError,))


def keras_files(folder: Path) -> Parser:
    """Saved classifiers that a user names: good ones with other settings or weights, and poisoned ones."""
    good = _keras_model(folder)

    def mutate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
        if chance.random() < 0.3:
            return bytes_of(content, others, chance)
        stream = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w") as new:
            for name in old.namelist():
                member = old.read(name)
                if name == "config.json":
                    member = json.dumps(tree(json.loads(member), chance)).encode(errors="surrogatepass")
                elif chance.random() < 0.1:
                    member = bytes_of(member, [member], chance)
                new.writestr(name, member)
        return stream.getvalue()

    def feed(content: bytes) -> None:
        path = folder / "given.keras"
        path.write_bytes(content)
        find_model(str(path), None)

    return Parser([good], poisoned(good), mutate, feed, (UserError,), seconds=120)


def _keras_model(folder: Path) -> bytes:
    import keras

    from lung_attention.images.view import View
    from lung_attention.models.attention import SoftAttention
    from lung_attention.models.classifier import build_classifier, build_preprocessing

    shown = keras.Input((32, 32, 3))
    features = keras.layers.Conv2D(4, 16, strides=16, activation="relu")(shown)
    backbone = keras.Model(shown, features, name="small_backbone")
    given = keras.Input(backbone.output_shape[1:])
    x = SoftAttention(n_maps=2, gamma=0.5, activation="relu", seed=1, name="soft_attention")(given)
    x = keras.layers.Dense(2, activation="softmax", name="probabilities")(keras.layers.Flatten()(x))
    view = View(None, "bilinear", antialias=False, standardise=False)
    model = build_classifier(
        build_preprocessing("mobilenetv2", view, 32), backbone, keras.Model(given, x, name="head"), turns=None
    )
    path = folder / "good.keras"
    model.save(path)
    return path.read_bytes()
