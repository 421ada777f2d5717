"""Finds the model that a user names: a cell, a file, or one of MLflow's."""

from __future__ import annotations

import tempfile
from pathlib import Path

from lung_attention.cells import FACTORS, Cell
from lung_attention.config import Config, load_config
from lung_attention.errors import UserError
from lung_attention.files import sha256
from lung_attention.paths import PARAMS, Paths
from lung_attention.predict.exported import ExportedModel

_SCHEMES = ("models:", "runs:", "mlflow-artifacts:")


def find_model(name: str, profile: str | None) -> ExportedModel:
    """Opens a model by its name; a cell is exported first, where that is not done yet.

    Args:
        name: The name of a cell, an `.onnx` file, the `model.keras` of a cell, or an address of MLflow.
        profile: Of a cell; None for the profile in use.

    Returns:
        The model.

    Raises:
        UserError: There is no such model.
    """
    path = Path(name)
    if path.suffix == ".onnx":
        if not path.exists():
            raise UserError(f"{path}: no such file", remedy="lung-attention export CELL --to MODEL.onnx")
        return ExportedModel(path)
    if name.startswith(_SCHEMES):
        return _of_mlflow(name)
    if path.suffix == ".keras":
        return _of_keras_file(path)
    config = load_config(PARAMS)
    return ExportedModel(exported_cell(cell_named(name), config, profile or config.profile))


def cell_named(name: str) -> Cell:
    """A cell by its name.

    Raises:
        UserError: It has not as many parts as a cell has factors.
    """
    parts = name.split("-")
    if len(parts) != len(FACTORS):
        raise UserError(
            f"model: expected a cell's name ({'-'.join(FACTORS)}), a file .onnx or .keras, or an address of "
            f"MLflow, received {name!r}",
            remedy="the folders in results/sample/cells are names of cells",
        )
    return Cell(*parts)


def exported_cell(cell: Cell, config: Config, profile: str) -> Path:
    """The exported model of a cell, written anew where the cell was trained since.

    Raises:
        UserError: The profile is unknown, or the cell is not trained here.
    """
    paths = Paths(profile)
    path, trained = paths.exported(cell), paths.model(cell)
    if not trained.exists():
        if path.exists():
            return path
        raise UserError(
            f"{trained} is missing: {cell.name} is not trained here",
            remedy=f"make repro PROFILE={profile}, or name another: ls {paths.results / 'cells'}",
        )
    if path.exists() and ExportedModel(path).about.model_sha256 == sha256(trained):
        return path
    from lung_attention.predict.exporting import export_cell
    from lung_attention.workflow.temporary import profile_of

    profile_of(config, profile)
    print(f"exporting {cell.name} (once; without TensorFlow from then on)", flush=True)
    export_cell(cell, config.model_copy(update={"profile": profile}), path)
    return path


def _of_keras_file(path: Path) -> ExportedModel:
    """A cell's own model with all that is known of the cell; any other file as it is."""
    folder = path.resolve().parent
    if not path.exists():
        raise UserError(f"{path}: no such file", remedy="lung-attention predict CELL IMAGE")
    if path.name == "model.keras" and folder.parent.name == "cells" and Path(PARAMS).exists():
        return ExportedModel(
            exported_cell(cell_named(folder.name), load_config(PARAMS), folder.parent.parent.name)
        )
    return _exported(path, path.stem, None)


def _of_mlflow(address: str) -> ExportedModel:
    import mlflow
    import yaml

    from lung_attention.tracking import connect

    connect(Path.cwd())
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=folder))
            (keras_file,) = found.rglob("*.keras")
            said = yaml.safe_load((found / "MLmodel").read_text(encoding="utf-8"))
            classes = list(said["flavors"]["python_function"]["config"]["classes"])
        except Exception as error:  # of MLflow, its stores and the network, or another kind of model
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{address} cannot be had ({reason})", remedy="look it up with: make mlflow-ui"
            ) from error
        return _exported(keras_file, address, classes)


def _exported(keras_file: Path, name: str, classes: list[str] | None) -> ExportedModel:
    from lung_attention.predict.exporting import export_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_file(keras_file, path, name=name, classes=classes)
        return ExportedModel(path)
