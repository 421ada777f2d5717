"""Exported models in MLflow's registry, from where `mlflow models serve` answers with them."""

from __future__ import annotations

import warnings
from pathlib import Path

from lung_attention.predict.exported import ExportedModel
from lung_attention.tracking.processes import versions
from lung_attention.tracking.registry import move_champions
from lung_attention.tracking.server import check_reachable, client, connect

_CODE = Path(__file__).parents[1] / "predict" / "served_model.py"
# What answering needs, in the exact versions at work here; no TensorFlow.
_REQUIREMENTS = ("lung-attention", "mlflow", "numpy", "onnxruntime", "pandas", "pillow", "pydicom")


def register_exported(path: Path, name: str, *, root: Path) -> str:
    """Registers an exported model and makes it the champion of its name.

    Args:
        path: The ONNX file.
        name: Under which it is registered, without `/` and `:`.
        root: The project's root, where the default tracking database lies.

    Returns:
        The version.

    Raises:
        UserError: The file is no exported model, or the server does not answer.
    """
    about = ExportedModel(path).about
    connect(root)
    check_reachable()
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    outputs: list[ColSpec | TensorSpec] = [ColSpec("string", "class"), ColSpec("double", "probability")]
    outputs += [ColSpec("string", "set"), ColSpec("boolean", "familiar")]
    outputs += [ColSpec("double", f"probability_{one}") for one in about.classes]
    mlflow.set_experiment("lung-attention/exported")
    with warnings.catch_warnings(), mlflow.start_run(run_name=about.name):
        warnings.filterwarnings("ignore", message=".*input example.*")  # it would be a patient's image
        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(_CODE),
            artifacts={"onnx": str(path)},
            signature=ModelSignature(Schema([ColSpec("binary", "image")]), Schema(outputs)),
            pip_requirements=[f"{one}=={version}" for one, version in versions(_REQUIREMENTS).items()],
            registered_model_name=name,
            metadata={"cell": about.name, "model_sha256": about.model_sha256},
        )
    version = str(logged.registered_model_version)
    move_champions(client(), {name: version})
    return version
