"""Classifiers as ONNX: uint8 pixels in; probabilities, attention map and distance out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnx.parser
import onnxruntime as ort
import tensorflow as tf
import tf2onnx
from keras import ops

from lung_attention.evaluation.familiarity import Familiarity
from lung_attention.models.parts import Parts
from lung_attention.writing import replacing

OPSET = 18
_DOMAIN = "lung_attention"
_TOLERANCE = 1e-3  # of probabilities, all sums in single precision


def _weights(axis: str, number: str) -> str:
    """Lines of the function below: how much of each input row (or column) each output one has."""
    lines = f"""
        in = Gather (shape, {number})
        out = Gather (sides, {number})
        zoom = Gather (scale, {number})
        in_f = Cast <to = 1> (@in)
        out_f = Cast <to = 1> (@out)
        from = Range (zero_f, @in_f, one_f)
        to = Range (zero_f, @out_f, one_f)
        pixel = Add (@from, half)
        middle = Add (@to, half)
        centre_flat = Div (@middle, @zoom)
        centre = Reshape (@centre_flat, column)
        step = Div (one_f, @zoom)
        radius = Max (@step, one_f)
        apart = Sub (@pixel, @centre)
        distance = Abs (@apart)
        relative = Div (@distance, @radius)
        height = Sub (one_f, @relative)
        triangle = Relu (@height)
        sum = ReduceSum (@triangle, last)
        weights = Div (@triangle, @sum)
    """
    named = [f"{axis}_{line.strip()}" for line in lines.strip().splitlines()]
    return "\n".join(named).replace("@", f"{axis}_")


# TensorFlow's resizing with a widened filter, which ONNX has no operator of the same result for: each output
# pixel is a mean of input pixels, weighted by a triangle over their distance.
_RESIZE = onnx.parser.parse_function(
    f"""
    <domain: "{_DOMAIN}", opset_import: ["" : {OPSET}]>
    ScaleAndTranslate (images, size, scale, translation) => (resized) {{
        zero = Constant <value_int = 0> ()
        one = Constant <value_int = 1> ()
        zero_f = Constant <value_float = 0.0> ()
        one_f = Constant <value_float = 1.0> ()
        half = Constant <value_float = 0.5> ()
        column = Constant <value_ints = [-1, 1]> ()
        last = Constant <value_ints = [1]> ()
        shape = Shape <start = 1, end = 3> (images)
        sides = CastLike (size, shape)
        {_weights("rows", "zero")}
        {_weights("cols", "one")}
        fewer_rows = Einsum <equation = "oh,nhwc->nowc"> (rows_weights, images)
        resized = Einsum <equation = "pw,nowc->nopc"> (cols_weights, fewer_rows)
    }}
    """
)


def export_onnx(
    model: keras.Model, path: Path, *, familiarity: Familiarity | None, metadata: dict[str, str]
) -> None:
    """Writes a classifier as an ONNX file that needs nothing of this project.

    Args:
        model: Of `build_classifier`: from pixels to probabilities.
        path: The file. Its input is `image`, uint8 `(n, height, width, 3)` of any size; its outputs are
            `probabilities` `(n, classes)`, `attention` `(n, rows, cols)` (the map α of the image as it
            stands) where the head has one, and `distance` `(n,)` where `familiarity` is given; all float32.
        familiarity: The distribution that distances refer to.
        metadata: Kept in the file.

    Raises:
        ValueError: A filter of the resizing cannot be written, or the file does not answer as the model does.
    """
    resize = model.get_layer("preprocessing").get_layer("resize")
    if resize.antialias and resize.interpolation != "bilinear":
        raise ValueError(f"Expected the filter bilinear. Received: {resize.interpolation}")
    signature = [tf.TensorSpec((None, None, None, 3), tf.uint8, name="image")]
    answer = tf.function(_Answer(model, familiarity), input_signature=signature)
    written, _ = tf2onnx.convert.from_function(
        answer,
        input_signature=signature,
        opset=OPSET,
        custom_op_handlers={"ScaleAndTranslate": (_call_resize, [])},
        extra_opset=[onnx.helper.make_opsetid(_DOMAIN, 1)],
    )
    written.functions.append(_RESIZE)
    onnx.helper.set_model_props(written, metadata)
    with replacing(path) as temporary:
        onnx.save_model(written, temporary)
        _compare(model, temporary)


def _compare(model: keras.Model, path: Path) -> None:
    """Holds a file against the model: the conversion logs what it cannot do, and goes on."""
    image = np.random.default_rng(0).integers(0, 256, (1, 60, 80, 3), dtype=np.uint8)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"image": image})
    difference = float(np.abs(np.asarray(model(image, training=False)) - found).max())
    if not difference <= _TOLERANCE:
        raise ValueError(
            f"Expected probabilities within {_TOLERANCE}. Received: a difference of {difference}"
        )


class _Answer:
    """What an exported model computes of a batch of images."""

    def __init__(self, model: keras.Model, familiarity: Familiarity | None) -> None:
        self._parts = Parts(model)
        layers = {layer.name: layer for layer in model.layers}
        self._turned, self._mean = layers.get("turned"), layers.get("mean_of_turns")
        self._attention = next(
            (layer for layer in self._parts.head.layers if hasattr(layer, "attention_map")), None
        )
        self._whitening: Any = None
        if familiarity is not None:
            # Arrays: a tensor from outside of the graph would become an input of the file.
            self._whitening = familiarity.whitening.astype(np.float32)
            self._means = (familiarity.means @ familiarity.whitening).astype(np.float32)

    def __call__(self, image: Any) -> dict[str, Any]:
        shown = self._parts.preprocessing(image, training=False)
        seen = shown if self._turned is None else self._turned(shown)
        features = self._parts.backbone(seen, training=False)
        probabilities = self._parts.head(features, training=False)
        if self._mean is not None:
            probabilities = self._mean(probabilities)
            features = features[: ops.shape(shown)[0]]  # the first turn is none
        answer = {"probabilities": probabilities}
        if self._attention is not None:
            answer["attention"] = self._attention.attention_map(features)[..., 0]
        if self._whitening is not None:
            white = ops.mean(features, axis=(1, 2)) @ self._whitening
            apart = ops.expand_dims(white, 1) - self._means
            answer["distance"] = ops.min(ops.sqrt(ops.sum(apart**2, axis=2)), axis=1)
        return answer


def _call_resize(context: Any, node: Any, _: str, __: Any) -> None:
    """Calls the function above in place of TensorFlow's operator."""
    for name in list(node.attr):
        del node.attr[name]
    node.domain = _DOMAIN
