"""Logging a cell's model with its run."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention import files
from lung_attention.models.heads import HEADS

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CODE = Path(__file__).with_name("pyfunc_model.py")
# What loading the model needs besides this package's own code, in the exact versions at work here.
_PACKAGES = (
    "keras", "mlflow", "numpy", "pandas", "pillow", "pydantic", "pydicom", "scikit-learn", "tensorflow",
    "threadpoolctl",
)  # fmt: skip
# The layers that a file names; they are found among the modules that were imported.
_LAYERS = ("lung_attention.models.classifier", "lung_attention.models.turns", *HEADS.values())


@dataclass(frozen=True)
class ModelFile:
    """A cell's `.keras` file and what a logged model says beside it.

    Attributes:
        path: The file; its model makes probabilities `(1, classes)` of uint8 `(1, height, width, 3)`.
        name: Of the cell.
        classes: Class names in the order of the outputs.
        window: Level and width in HU of the window through which it sees DICOM slices; None for no such.
        tissue: Whether its images show tissue; else CT slices.
        description: What it is, in words.
    """

    path: Path
    name: str
    classes: tuple[str, ...]
    window: tuple[float, float] | None
    tissue: bool
    description: str

    @property
    def digest(self) -> str:
        """SHA-256 over what the logged model is; the versions it was logged with are no other model."""
        about = [self.name, list(self.classes), self.window, self.description]
        parts = [files.sha256(self.path), files.sha256(_CODE), *about]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def log_model(client: MlflowClient, run_id: str, model: ModelFile) -> str:
    """Logs a model as a pyfunc model from code, so that no pickle is written; returns its id."""
    import mlflow
    from mlflow.models import Model

    from lung_attention.tracking.packed import NOTE, packed

    class Untried(Model):
        """A model whose example is not tried out while it is logged, which would load TensorFlow."""

        def get_serving_input(self, path: str) -> None:
            """None, so that there is nothing to try."""

    # Model.log takes the run's id, but asks the global setting for the experiment.
    mlflow.set_experiment(experiment_id=client.get_run(run_id).info.experiment_id)
    outputs = dict.fromkeys(model.classes, "double")
    with (
        packed(_CODE, modules=_LAYERS, packages=_PACKAGES, outputs=outputs, tissue=model.tissue) as arguments,
        warnings.catch_warnings(),
    ):
        logged = Untried.log(
            artifact_path=None,
            name=model.name,
            flavor=mlflow.pyfunc,
            run_id=run_id,
            artifacts={"keras": str(model.path)},
            model_config={"classes": list(model.classes), "window": model.window and list(model.window)},
            tags={NOTE: model.description},
            **arguments,
        )
    return str(logged.model_id)
