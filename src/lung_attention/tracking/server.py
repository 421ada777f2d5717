"""Which tracking server, whether it answers, and the experiments on it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from lung_attention.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

Result = TypeVar("Result")

# Long enough for a slow server, short enough that a user is told before leaving the terminal.
PROBE_SECONDS = 4

# How MLflow reports that a log-in is missing or not enough.
_REFUSALS = ("error code 401", "error code 403", "UNAUTHENTICATED", "PERMISSION_DENIED")


class TrackingUnavailableError(UserError):
    """The tracking server does not answer. Results are on disk, and can be logged later."""


def connect(root: Path) -> None:
    """Chooses the tracking server: `MLFLOW_TRACKING_URI`, or an SQLite file in the project's root.

    No connection is made yet; see `check_reachable`.

    Args:
        root: The project's root. The default server is `mlflow.db` in it, its artifacts `mlartifacts`.
    """
    # MLflow reads both when it is imported. Nothing about a user's runs leaves the machine unasked.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root / 'mlflow.db').resolve()}"

    import mlflow

    # The progress of a database migration and of the metrics thread is no news for a training's output.
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # That an environment has no pip (uv makes such) is no news either.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(address)


def client() -> MlflowClient:
    """A client of the server chosen by `connect`."""
    from mlflow import MlflowClient

    return MlflowClient()


def address() -> str:
    """The server's address without user, password or query, fit for messages."""
    import mlflow

    uri = mlflow.get_tracking_uri()
    parts = urlsplit(uri)
    if parts.scheme.startswith("sqlite") or not parts.netloc:
        return uri.split("?")[0]
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def check_reachable() -> None:
    """Asks the server one cheap question. A local SQLite file is made or migrated, without a time limit.

    Raises:
        TrackingUnavailableError: It did not answer within about five seconds, or refused.
    """
    import mlflow

    uri = mlflow.get_tracking_uri()
    if not uri.startswith("http"):
        # Its import takes seconds, which must not count as waiting for a server.
        import mlflow.store.tracking.sqlalchemy_store
    from mlflow.exceptions import MlflowException

    def ask() -> None:
        client().search_experiments(max_results=1)

    remedy = (
        "Start the server or correct MLFLOW_TRACKING_URI; without that variable runs are kept in mlflow.db. "
        "Results on disk are logged later by: lung-attention track"
    )
    try:
        with impatient(PROBE_SECONDS):
            if uri.startswith("sqlite"):
                ask()
            else:
                _within(PROBE_SECONDS + 1, ask)
    # The causes are left out of the message and of the chain: they repeat the address with its credentials.
    except MlflowException as error:
        if any(word in str(error) for word in _REFUSALS):
            raise TrackingUnavailableError(
                f"The tracking server at {address()} refused this user.",
                remedy="Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.",
            ) from None
        if "out-of-date database schema" in str(error):
            raise TrackingUnavailableError(
                f"The tracking database {address()} was made by another version of MLflow.",
                remedy=f"Back it up, then: mlflow db upgrade {address()}",
            ) from None
        raise TrackingUnavailableError(f"No tracking server answers at {address()}.", remedy=remedy) from None
    except Exception as error:
        raise TrackingUnavailableError(
            f"No tracking server answers at {address()} ({type(error).__name__}).", remedy=remedy
        ) from None


def _within(seconds: float, call: Callable[[], Result]) -> Result:
    """Runs a call in a thread that may be left behind: name look-ups and databases know no timeout."""
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=work, daemon=True, name="tracking-probe")
    thread.start()
    thread.join(seconds)
    if failure:
        raise failure[0]
    if not outcome:
        raise TimeoutError(f"no answer in {seconds} s")
    return outcome[0]


@contextmanager
def impatient(timeout_seconds: int) -> Iterator[None]:
    """Takes MLflow's own retries away, which keep a caller waiting for minutes.

    Args:
        timeout_seconds: How long one request may take.
    """
    values = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_seconds)}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def experiment_id(mlflow_client: MlflowClient, name: str) -> str:
    """Finds or makes an experiment.

    Args:
        mlflow_client: The server.
        name: The experiment's name.

    Returns:
        Its id.

    Raises:
        UserError: The experiment was deleted in MLflow, which keeps its name taken.
    """
    from mlflow.exceptions import MlflowException

    found = mlflow_client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(mlflow_client.create_experiment(name, artifact_location=_artifact_location(name)))
        except MlflowException:
            # Another pipeline was faster; anything else comes back as an experiment that is still absent.
            found = mlflow_client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(
            f"The experiment {name!r} was deleted on {address()}.",
            remedy=f"MLFLOW_TRACKING_URI={address()} mlflow experiments restore "
            f"--experiment-id {found.experiment_id}",
        )
    return str(found.experiment_id)


def _artifact_location(experiment: str) -> str | None:
    """Artifacts of a local SQLite file lie beside it; a server decides for itself."""
    import mlflow

    uri = mlflow.get_tracking_uri()
    if not uri.startswith("sqlite"):
        return None
    database = Path(uri.partition(":///")[2].partition("?")[0]).resolve()
    return (database.parent / "mlartifacts" / experiment).as_uri()
