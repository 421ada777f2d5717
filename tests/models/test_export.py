import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from predict.models import familiarity, small_classifier

from lung_attention.models.export import export_onnx

SIZES = [(1, 32, 32, 3), (1, 90, 41, 3), (1, 20, 25, 3), (3, 64, 64, 3)]
KINDS = {
    "as published": {"antialias": False},
    "close": {"crop_px": 40, "standardise": True},
    "averaged over turns": {"turns": 4},
    "plain": {"attention": False},
}


@pytest.fixture(scope="module", params=KINDS)
def both(request, tmp_path_factory):
    model = small_classifier(**KINDS[request.param])
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export_onnx(model, path, familiarity=familiarity(), metadata={"who": "a test"})
    return model, ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def images(shape):
    # Low frequencies, as images have, and single bright pixels.
    rng = np.random.default_rng(7)
    n, height, width, channels = shape
    waves = np.sin(np.linspace(0, 6, height))[:, None, None] * np.cos(np.linspace(0, 9, width))[None, :, None]
    noise = rng.uniform(0, 60, shape)
    return (110 + 80 * waves + noise).clip(0, 255).astype(np.uint8) if n and channels else None


@pytest.mark.parametrize("shape", SIZES)
def test_probabilities_are_those_of_keras(both, shape):
    model, session = both
    found = session.run(["probabilities"], {"image": images(shape)})[0]
    assert found == pytest.approx(np.asarray(model(images(shape))), abs=1e-4)
    assert found.std() > 0


def parts(model):
    backbone = model.get_layer("small_backbone")
    return lambda image: backbone(model.get_layer("preprocessing")(image))


def test_the_map_is_that_of_the_image_as_it_stands(both):
    model, session = both
    if "attention" not in [output.name for output in session.get_outputs()]:
        assert "soft_attention" not in [layer.name for layer in model.get_layer("head").layers]
        return
    image = images((2, 70, 50, 3))
    layer = model.get_layer("head").get_layer("soft_attention")
    expected = np.asarray(layer.attention_map(parts(model)(image)))[..., 0]
    assert session.run(["attention"], {"image": image})[0] == pytest.approx(expected, abs=1e-4)


def test_distances_are_those_of_averaged_features(both):
    model, session = both
    image = images((2, 70, 50, 3))
    averaged = np.asarray(keras.ops.mean(parts(model)(image), axis=(1, 2)))
    found = session.run(["distance"], {"image": image})[0]
    assert found == pytest.approx(familiarity().distances(averaged), rel=1e-3)


def test_the_file_says_what_it_was_given_and_is_valid(tmp_path):
    path = tmp_path / "model.onnx"
    export_onnx(small_classifier(), path, familiarity=None, metadata={"who": "a test"})
    model = onnx.load(path)
    onnx.checker.check_model(model)
    assert [(one.key, one.value) for one in model.metadata_props] == [("who", "a test")]
    assert sorted(output.name for output in model.graph.output) == ["attention", "probabilities"]


def test_a_filter_that_cannot_be_written_is_refused(tmp_path):
    model = small_classifier()
    model.get_layer("preprocessing").get_layer("resize").interpolation = "bicubic"
    with pytest.raises(ValueError, match="bilinear"):
        export_onnx(model, tmp_path / "model.onnx", familiarity=None, metadata={})
    assert list(tmp_path.iterdir()) == []
