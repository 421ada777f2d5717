"""The tracking server: its address, whether it answers, and its experiments."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lung_attention.alive import is_running
from lung_attention.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_logger = logging.getLogger(__name__)

# Long enough for a slow server, short enough that a user is told before leaving the terminal.
PROBE_SECONDS = 4
# How long a request may hold up a training or a search.
REQUEST_SECONDS = 10

# How long one may take that sends a model.
UPLOAD_SECONDS = 120

# How MLflow reports that a log-in is missing or not enough.
_REFUSALS = ("error code 401", "error code 403", "UNAUTHENTICATED", "PERMISSION_DENIED")


class TrackingUnavailableError(UserError):
    """The tracking server does not answer. Results are on disk, and can be logged later."""


def connect(root: Path) -> None:
    """Chooses the tracking server: `MLFLOW_TRACKING_URI`, or an SQLite file in the project's root.

    No connection is made yet; see `check_reachable`.

    Args:
        root: The project's root, where the file `mlflow.db` and the folder `mlartifacts` lie by default.
    """
    # MLflow reads both when it is imported. Nothing about a user's runs leaves the machine unasked.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    database = checkout_of(root.resolve()) / "mlflow.db"
    address = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database}"

    import mlflow

    # The progress of migrations, of a model that is logged and of the metrics thread is no news.
    for name in ("mlflow.store.db.utils", "alembic", "mlflow.pyfunc"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # That an environment has no pip (uv makes such) is no news either.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    logging.getLogger("mlflow.system_metrics").setLevel(logging.CRITICAL)
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    mlflow.set_tracking_uri(address)


def checkout_of(root: Path) -> Path:
    """The checkout to which a workspace of DVC's belongs, which is thrown away; else the folder itself."""
    for folder in root.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2]
    return root


def client() -> MlflowClient:
    """A client of the server chosen by `connect`."""
    from mlflow import MlflowClient

    return MlflowClient()


def address() -> str:
    """The server's address without user, password or query, fit for messages."""
    import mlflow

    uri = mlflow.get_tracking_uri()
    if not uri.startswith(("sqlite:", "file:")):
        # No parser: a password may hold a slash, and the scheme may have been forgotten.
        scheme, separator, rest = uri.rpartition("://")
        uri = scheme + separator + rest.rpartition("@")[2]
    return uri.split("?")[0].split("#")[0]


def check_reachable() -> None:
    """Asks the server one cheap question. A local SQLite file is made or migrated, without a time limit.

    Raises:
        TrackingUnavailableError: It did not answer within about five seconds, or refused.
    """
    from mlflow.exceptions import MlflowException

    problem = f"No tracking server answers at {address()}"
    remedy = (
        "Start the server or correct MLFLOW_TRACKING_URI; without that variable runs are kept in mlflow.db. "
        "Results on disk are logged later by: lung-attention track"
    )
    try:
        with impatient(PROBE_SECONDS):
            _make_database()
            client().search_experiments(max_results=1)
    # The causes are left out of the message and of the chain: they repeat the address with its credentials.
    except MlflowException as error:
        if any(word in str(error) for word in _REFUSALS):
            problem = f"The tracking server at {address()} refused this user"
            remedy = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
        elif "out-of-date database schema" in str(error):
            problem = f"The tracking database {address()} was made by another version of MLflow"
            remedy = f"Back it up, then: mlflow db upgrade {address()}"
        raise TrackingUnavailableError(problem, remedy=remedy) from None
    except Exception as error:
        raise TrackingUnavailableError(f"{problem} ({type(error).__name__})", remedy=remedy) from None


def _make_database() -> None:
    """Makes the SQLite file under another name, so that a kill in the middle leaves none that is half-made.

    Two processes may do so at a time: one of their files gets the name, the other one goes.
    """
    import mlflow

    uri = mlflow.get_tracking_uri()
    path = Path(uri.partition(":///")[2].partition("?")[0])
    if not uri.startswith("sqlite:///") or path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    temporary.unlink(missing_ok=True)
    try:
        mlflow.set_tracking_uri(f"sqlite:///{temporary}")
        client().search_experiments(max_results=1)
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        mlflow.set_tracking_uri(uri)
        for left in temporary.parent.glob(f"{path.name}.*.unfinished*"):
            pid = left.name.removeprefix(f"{path.name}.").partition(".")[0]
            if left.name.startswith(temporary.name) or (pid.isdecimal() and not is_running(int(pid))):
                left.unlink(missing_ok=True)


@contextmanager
def failures_told() -> Iterator[None]:
    """Gives all that a failing server raises one name and one message, without the address's credentials.

    Raises:
        TrackingUnavailableError: It failed.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    # OSError: whatever `requests` raises.
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise TrackingUnavailableError(
            f"The tracking server at {address()} failed ({type(error).__name__})",
            remedy="Look at the server's own log. Results on disk are logged later by: lung-attention track",
        ) from None


class Attempts:
    """Requests that may fail: the first failure is told, none is raised.

    Args:
        advice: What happens without the server, and how it is made good.
    """

    def __init__(self, advice: str) -> None:
        self._advice = advice
        self._told = False

    def __call__(self, call: Callable[[], object]) -> bool:
        """Makes requests and says whether they succeeded."""
        try:
            call()
        except Exception as error:
            if not self._told:
                self._told = True
                # Not the error's text, which repeats the address with its credentials.
                name = type(error).__name__
                _logger.warning(
                    "The tracking server at %s does not answer (%s). %s", address(), name, self._advice
                )
            return False
        return True


@contextmanager
def impatient(timeout_seconds: int, *, retries: int = 0) -> Iterator[None]:
    """Gives one request so long and so many further ones; MLflow's own retries last minutes."""
    values = {
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": str(retries),
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(timeout_seconds),
    }
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
    """Finds or makes an experiment and returns its id.

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
