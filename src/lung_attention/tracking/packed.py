"""What goes with a logged model, so that it can be loaded, asked and served anywhere."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import lung_attention
from lung_attention.data.sample.shapes import window
from lung_attention.data.sample.thorax import Thorax
from lung_attention.data.sample.tissue import Tissue
from lung_attention.tracking.processes import versions
from lung_attention.workflow.code import import_closure

PACKAGE = Path(lung_attention.__file__).parent

NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of a run or model."""

_EXAMPLE_PX = 128


@contextmanager
def packed(
    script: Path,
    *,
    modules: Iterable[str] = (),
    packages: Iterable[str],
    outputs: Mapping[str, str],
    tissue: bool,
) -> Iterator[dict[str, Any]]:
    """Yields what MLflow is told of a model from code, while the files it names are there.

    With the model go the modules of this package that it needs, as the package is on no index, and the exact
    versions at work here of those that are.

    Args:
        script: The file that MLflow runs to load the model.
        modules: Names of modules that it needs beside those it imports, such as those of layers.
        packages: Names of the packages that these import.
        outputs: By column of the answer its type.
        tissue: Whether the example of an input shows tissue; else a CT slice.

    Yields:
        Arguments of `mlflow.pyfunc.save_model`.
    """
    import pandas as pd
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / PACKAGE.name
        named = (PACKAGE.joinpath(*name.split(".")[1:]).with_suffix(".py") for name in modules)
        for file in import_closure([script, *named], PACKAGE) - {script}:
            target = copy / file.relative_to(PACKAGE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
        yield {
            "python_model": str(script),
            "code_paths": [str(copy)],
            "pip_requirements": [f"{name}=={version}" for name, version in versions(packages).items()],
            "signature": ModelSignature(
                Schema([ColSpec("binary", "image")]),
                Schema([ColSpec(kind, name) for name, kind in outputs.items()]),
            ),
            "input_example": pd.DataFrame({"image": [example_image(tissue=tissue)]}),
        }


@cache
def example_image(*, tissue: bool) -> bytes:
    """A drawn image of nobody, as a PNG file: a CT slice of a chest, or a tile of stained tissue."""
    rng = np.random.default_rng(0)
    if tissue:
        pixels = Tissue(rng, "benign", _EXAMPLE_PX).draw()
    else:
        pixels = Thorax(rng, disease=0.0).draw(rng, *window(_EXAMPLE_PX, _EXAMPLE_PX), height=0.0)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()
