"""Exported models in MLflow's registry, from where `mlflow models serve` answers with them."""

from __future__ import annotations

from pathlib import Path

from lung_attention.predict.exported import ExportedModel
from lung_attention.tracking.packed import NOTE, packed
from lung_attention.tracking.registry import EXPORTED, move_champions
from lung_attention.tracking.server import check_reachable, client, connect

_CODE = Path(__file__).parents[1] / "predict" / "served_model.py"
# What answering needs besides this package's own code; no TensorFlow.
_PACKAGES = ("mlflow", "numpy", "onnxruntime", "pandas", "pillow", "pydantic", "pydicom")


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

    outputs = {"class": "string", "probability": "double", "set": "string", "familiar": "boolean"}
    outputs |= {f"probability_{one}": "double" for one in about.classes}
    description = " ".join([f"{about.title}; {about.measured}.", *about.limits])
    mlflow.set_experiment(EXPORTED)
    with (
        packed(_CODE, packages=_PACKAGES, outputs=outputs, tissue=False) as arguments,
        mlflow.start_run(run_name=about.name, description=description),
    ):
        logged = mlflow.pyfunc.log_model(
            name=about.name,
            artifacts={"onnx": str(path)},
            registered_model_name=name,
            metadata={"cell": about.name, "model_sha256": about.model_sha256},
            tags={NOTE: description},
            **arguments,
        )
    version = str(logged.registered_model_version)
    client().update_model_version(name, version, description)
    move_champions(client(), {name: version})
    return version
