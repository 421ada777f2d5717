"""ONNX files that are no model of this project, or give other answers than they say."""

import numpy as np
import onnx
import pytest
from onnx import helper

from faults.feeds_models import onnx_model
from lung_attention.errors import UserError
from lung_attention.predict.about import KEY, About
from lung_attention.predict.exported import ExportedModel

PIXELS = np.zeros((8, 8, 3), dtype=np.uint8)


def written(tmp_path, change):
    model = onnx.load_from_string(onnx_model())
    change(model)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def about(model, **changes):
    (entry,) = model.metadata_props
    entry.value = About.model_validate_json(entry.value).model_copy(update=changes).model_dump_json()


def test_a_sound_one_answers(tmp_path):
    model = ExportedModel(written(tmp_path, lambda model: None))
    assert model.said(model.predict(PIXELS))["class"] == "benign"


def test_more_classes_than_answers_are_refused(tmp_path):
    model = ExportedModel(written(tmp_path, lambda model: about(model, classes=["a", "b", "c"])))
    with pytest.raises(UserError, match="expected 3 numbers"):
        model.predict(PIXELS)


def test_what_cannot_be_computed_is_told(tmp_path):
    model = ExportedModel(written(tmp_path, lambda model: None))
    with pytest.raises(UserError, match="cannot be computed"):
        model.predict(PIXELS[0])


def test_answers_that_are_no_numbers_are_refused(tmp_path):
    def change(model):
        weights = next(one for one in model.graph.initializer if one.name == "w")
        weights.CopyFrom(helper.make_tensor("w", onnx.TensorProto.FLOAT, [1, 2], [float("nan")] * 2))

    model = ExportedModel(written(tmp_path, change))
    with pytest.raises(UserError, match="expected 2 numbers"):
        model.predict(PIXELS)


def test_other_inputs_and_outputs_are_refused(tmp_path):
    def change(model):
        for node in model.graph.node:
            node.output[:] = ["x y" if name == "probabilities" else name for name in node.output]
        model.graph.output[0].name = "x y"

    with pytest.raises(UserError, match="expected image in and probabilities out"):
        ExportedModel(written(tmp_path, change))


def test_metadata_that_are_no_text_are_refused(tmp_path):
    content = onnx_model()
    place = content.index(KEY.encode() + b"\x12")
    path = tmp_path / "model.onnx"
    path.write_bytes(content.replace(b'"small"', b'"\xff\xfe\xfd\xfcl"', 1))
    assert place
    with pytest.raises(UserError, match="no text"):
        ExportedModel(path)
