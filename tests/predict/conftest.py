"""The exported file of a small classifier."""

import pytest
from predict.models import exported


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("exported") / "model.onnx")
