"""Finds the model that a user names: a cell, a file, or one of MLflow's."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from lung_attention.cells import FACTORS, Cell
from lung_attention.config import Config, load_config
from lung_attention.errors import UserError
from lung_attention.files import sha256
from lung_attention.paths import PARAMS, Paths
from lung_attention.predict.exported import ExportedModel

_SCHEMES = ("models:", "runs:", "mlflow-artifacts:")
# Before an @ stands a password, which may hold a slash, and behind a question mark perhaps a token.
_SECRETS = ((re.compile(r"//\S*@"), "//"), (re.compile(r"\?\S+"), ""))
_LONGEST_TEXT = 200
_LONGEST_NAME = 240  # what systems allow, less the suffixes of files that are named after a cell


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
    if any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise UserError(
            f"model: expected a name of at most {_LONGEST_NAME} bytes, received {name[:60]!r} …",
            remedy="lung-attention predict --help",
        )
    if path.suffix == ".onnx":
        if not path.exists():
            raise UserError(f"{path}: no such file", remedy="lung-attention export CELL --to MODEL.onnx")
        return ExportedModel(path)
    if name.startswith(_SCHEMES):
        return _of_mlflow(name)
    if path.suffix == ".keras":
        return _of_keras_file(path)
    return exported_cell(cell_named(name), of_profile(load_config(PARAMS), profile))


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


def of_profile(config: Config, name: str | None) -> Config:
    """The configuration with a profile in use; None for the one that is.

    Raises:
        UserError: There is no such profile.
    """
    from lung_attention.workflow.temporary import profile_of

    if name is None:
        return config
    profile_of(config, name)
    return config.model_copy(update={"profile": name})


def exported_cell(cell: Cell, config: Config) -> ExportedModel:
    """The exported model of a cell, written anew where the cell was trained since.

    Args:
        cell: Of the profile in use.
        config: The configuration.

    Raises:
        UserError: The cell is not trained here.
    """
    paths = Paths(config.profile)
    path, trained = paths.exported(cell), paths.model(cell)
    model = ExportedModel(path) if path.exists() else None
    if not trained.exists():
        if model is not None:
            return model
        raise UserError(
            f"{trained} is missing: {cell.name} is not trained here",
            remedy=f"make repro PROFILE={config.profile}, or name another: ls {paths.results / 'cells'}",
        )
    if model is not None and model.about.model_sha256 == sha256(trained):
        return model
    from lung_attention.predict.exporting import export_cell

    print(f"exporting {cell.name} (once; without TensorFlow from then on)", flush=True)
    export_cell(cell, config, path)
    return ExportedModel(path)


def _of_keras_file(path: Path) -> ExportedModel:
    """A cell's own model with all that is known of the cell; any other file as it is."""
    folder = path.resolve().parent
    if not path.exists():
        raise UserError(f"{path}: no such file", remedy="lung-attention predict CELL IMAGE")
    if path.name == "model.keras" and folder.parent.name == "cells" and Path(PARAMS).exists():
        config = of_profile(load_config(PARAMS), folder.parent.parent.name)
        return exported_cell(cell_named(folder.name), config)
    return _exported(path, path.stem, None)


def _of_mlflow(address: str) -> ExportedModel:
    import mlflow
    import yaml

    from lung_attention.tracking import check_reachable, connect
    from lung_attention.tracking.server import UPLOAD_SECONDS, impatient

    connect(Path.cwd())
    check_reachable()
    with tempfile.TemporaryDirectory() as folder, impatient(UPLOAD_SECONDS):
        try:
            found = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=folder))
            if exported := list(found.rglob("*.onnx")):  # registered by `lung-attention export`
                return ExportedModel(exported[0])
            (keras_file,) = found.rglob("*.keras")
            said = yaml.safe_load((found / "MLmodel").read_text(encoding="utf-8"))
            classes = list(said["flavors"]["python_function"]["config"]["classes"])
        except Exception as error:  # of MLflow, its stores and the network, or another kind of model
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{_told(address)} cannot be had ({_told(reason)})", remedy="look it up with: make mlflow-ui"
            ) from None
        return _exported(keras_file, address, classes)


def _told(text: str) -> str:
    """An address, or what was said of one, fit for messages."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _exported(keras_file: Path, name: str, classes: list[str] | None) -> ExportedModel:
    from lung_attention.predict.exporting import export_file

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_file(keras_file, path, name=name, classes=classes)
        return ExportedModel(path)
