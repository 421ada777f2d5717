"""The heads' layers give the same on Keras' other backends, for machines whose GPU TensorFlow cannot use.

A backend is chosen before Keras is imported, so each has a process of its own. The environment of the tests
has none but TensorFlow; where another is installed, it is compared.
"""

import importlib.util
import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from small_recipe import small_recipe

from lung_attention.models.heads import HEADS, build_head
from lung_attention.workflow.code import code_of

# What a backend of Keras needs to be imported.
NEEDED = {"jax": "jax", "torch": "torch", "numpy": "jax"}

SHAPE, CLASSES = (4, 3, 5), 3

SCRIPT = """
import sys
import numpy as np
import keras
from small_recipe import small_recipe
from lung_attention.models.heads import build_head

assert keras.backend.backend() == sys.argv[3] and "tensorflow" not in sys.modules
given = np.load(sys.argv[2])
head = build_head(sys.argv[1], given["features"].shape[1:], int(given["classes"]), small_recipe(), seed=1)
head.set_weights([given[f"weights_{number}"] for number in range(len(head.get_weights()))])
found = keras.ops.convert_to_numpy(head(given["features"]))
np.save(sys.argv[2].replace("given", "found").replace("npz", "npy"), found)
"""


@pytest.mark.parametrize("backend", NEEDED)
@pytest.mark.parametrize("head", HEADS)
def test_a_head_gives_the_same(backend, head, tmp_path):
    if importlib.util.find_spec(NEEDED[backend]) is None:
        pytest.skip(f"Keras' backend {backend} needs {NEEDED[backend]}, which is not installed")
    features = np.random.default_rng(2).normal(size=(6, *SHAPE)).astype("float32")
    built = build_head(head, SHAPE, CLASSES, small_recipe(), seed=1)
    weights = {f"weights_{number}": one for number, one in enumerate(built.get_weights())}
    np.savez(tmp_path / "given.npz", features=features, classes=CLASSES, **weights)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, head, str(tmp_path / "given.npz"), backend],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found, expected = np.load(tmp_path / "found.npy"), keras.ops.convert_to_numpy(built(features))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(found, 1 / CLASSES, atol=1e-3), "the head says something"


@pytest.mark.parametrize("head", HEADS)
def test_a_head_is_built_of_nothing_but_keras(head, request):
    """So that the above holds where it cannot be run: nothing that a head imports names TensorFlow."""
    root = request.config.rootpath
    module = root / "src" / f"{HEADS[head].replace('.', '/')}.py"
    files = code_of(module, root)
    assert root / "src/lung_attention/models/heads/dense.py" in files
    imported = re.compile(r"^\s*(import|from) tensorflow", re.MULTILINE)
    assert not [file for file in files if imported.search(file.read_text(encoding="utf-8"))]
