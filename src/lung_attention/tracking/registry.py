"""MLflow's registry: a model a cell, a version a training, and the alias of the version to be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"

EXPORTED = "lung-attention/exported"
"""The experiment of exported models, whose runs are no trainings."""

_LONGEST = 5000
"""Characters of a description that MLflow's databases hold."""


def model_name(profile: str, cell: str) -> str:
    """The registered name of a cell's model: no `/` and no `:`, which addresses of models are made of."""
    return f"lung-attention.{profile}.{cell}"


def register(client: MlflowClient, run: Run, name: str, description: str) -> ModelVersion:
    """Registers the model of a run as a new version of a name, unless it is there. No alias is set.

    Args:
        client: Of the server.
        run: A complete run.
        name: Under which it is registered.
        description: Of the version; one that is there gets it, too.
    """
    description = description[:_LONGEST]
    found = find_version(client, run, name)
    if found is not None:
        if found.description != description:
            client.update_model_version(name, found.version, description)
        return found
    _make_name(client, name)
    tags = run.data.tags
    return client.create_model_version(
        name,
        source=f"models:/{tags['model_id']}",
        run_id=run.info.run_id,
        model_id=tags["model_id"],
        tags={key: tags[key] for key in ("model", "stage", "inputs")},
        description=description,
    )


def _make_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def find_version(client: MlflowClient, run: Run, name: str) -> ModelVersion | None:
    """The version of a name that is the model which a run shows now."""
    versions = client.search_model_versions(f"name = '{name}' and run_id = '{run.info.run_id}'")
    same = [version for version in versions if version.tags.get("model") == run.data.tags.get("model")]
    return max(same, key=lambda version: int(version.version), default=None)


def move_champions(client: MlflowClient, versions: Mapping[str, str]) -> None:
    """Points the alias `champion` of each name to a version, where it is not there yet."""
    for name, version in versions.items():
        aliases = client.get_registered_model(name).aliases
        if str(aliases.get(CHAMPION)) != version:
            client.set_registered_model_alias(name, CHAMPION, version)
