"""Logging a cell's model with its run."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention import files
from lung_attention.tracking.processes import versions

if TYPE_CHECKING:
    from mlflow import MlflowClient

_CODE = Path(__file__).with_name("pyfunc_model.py")
# What loading the model needs, in the exact versions at work here.
_REQUIREMENTS = ("lung-attention", "keras", "tensorflow", "numpy", "pandas", "pillow", "mlflow")


def model_hash(model_path: Path, classes: Sequence[str]) -> str:
    """SHA-256 over what a logged model computes; the versions it was logged with are no other model."""
    parts = [files.sha256(model_path), files.sha256(_CODE), list(classes)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def log_model(client: MlflowClient, run_id: str, model_path: Path, classes: Sequence[str]) -> str:
    """Logs a `.keras` file as a pyfunc model from code, so that no pickle is written; returns its id.

    The file's model takes uint8 `(1, height, width, 3)` and gives probabilities `(1, classes)`.
    """
    import mlflow
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, Schema

    # Model.log takes the run's id, but asks the global setting for the experiment.
    mlflow.set_experiment(experiment_id=client.get_run(run_id).info.experiment_id)
    signature = ModelSignature(
        inputs=Schema([ColSpec("binary", "image")]),
        outputs=Schema([ColSpec("double", name) for name in classes]),
    )
    with warnings.catch_warnings():
        # An input example would be one of the patients' images.
        warnings.filterwarnings("ignore", message=".*input example.*")
        logged = Model.log(
            artifact_path=None,
            name="model",
            flavor=mlflow.pyfunc,
            run_id=run_id,
            python_model=str(_CODE),
            artifacts={"keras": str(model_path)},
            model_config={"classes": list(classes)},
            signature=signature,
            pip_requirements=[f"{name}=={version}" for name, version in versions(_REQUIREMENTS).items()],
        )
    return str(logged.model_id)
