"""Keras' published weights arrive in its older layout and are read by the pipeline in today's."""

import h5py
import numpy as np
import pytest

from lung_attention.data.sources.transfer import TransferError
from lung_attention.data.sources.weights import convert_weights


def write_as_published(path, model):
    """The layout of the published files: a group a layer, its arrays named in attributes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.1.6"
        for layer in model.layers:
            group = file.create_group(layer.name)
            arrays = [(f"{layer.name}/w{n}:0", value) for n, value in enumerate(layer.get_weights())]
            group.attrs["weight_names"] = [name.encode() for name, _ in arrays]
            for name, value in arrays:
                group.create_dataset(name, data=value)


def test_published_weights_keep_their_values(tmp_path):
    from lung_attention.models.backbones import build_backbone

    published = build_backbone("mobilenetv2", 32)
    # Other than fresh ones, which are alike in every model where batches are normalised.
    published.set_weights([value + 0.01 * place for place, value in enumerate(published.get_weights())])
    write_as_published(tmp_path / "served.h5", published)
    made = tmp_path / "mobilenetv2_notop.weights.h5"
    convert_weights(tmp_path / "served.h5", made, backbone="mobilenetv2")
    expected = published.get_weights()
    published.set_weights([np.zeros_like(value) for value in expected])
    published.load_weights(made)
    for value, found in zip(expected, published.get_weights(), strict=True):
        np.testing.assert_array_equal(found, value)
    first = made.read_bytes()
    convert_weights(tmp_path / "served.h5", made, backbone="mobilenetv2")
    assert made.read_bytes() == first  # so that it keeps its checksum


@pytest.mark.parametrize("content", [b"<html></html>", None])
def test_other_files_are_no_weights(tmp_path, content):
    served, made = tmp_path / "served.h5", tmp_path / "x.weights.h5"
    if content is None:
        with h5py.File(served, "w") as file:
            file.attrs["layer_names"] = [b"conv"]
            file.create_group("conv").attrs["weight_names"] = []
    else:
        served.write_bytes(content)
    with pytest.raises(TransferError, match="no weights of mobilenetv2"):
        convert_weights(served, made, backbone="mobilenetv2")
    assert not made.exists()
