"""MLflow's pages on the runs: served here, with links to the results."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

from lung_attention.alive import Stopped, run_to_the_end
from lung_attention.errors import UserError
from lung_attention.tracking.registry import EXPORTED
from lung_attention.tracking.server import check_reachable, client, connect
from lung_attention.tracking.view import EXPERIMENTS, RESULTS, share_view

_HOST = "127.0.0.1"
_USUAL_PORT = 5000


def serve_ui(root: Path, port: int) -> int:
    """Serves MLflow's pages until Ctrl-C, SIGTERM or the end of the terminal; then all of MLflow ends.

    Args:
        root: The project's root, where the default tracking database lies.
        port: On which they are served, on this machine alone.

    Returns:
        0, after Ctrl-C.

    Raises:
        Stopped: By another signal.
        UserError: The port is taken, or none, or MLflow ended by itself.
        TrackingUnavailableError: The database or server behind the pages does not answer.
    """
    _require_free(port)
    connect(root)
    check_reachable()
    for link in links(port):
        print(link, flush=True)
    import mlflow

    command = [sys.executable, "-m", "mlflow", "ui", "--host", _HOST, "--port", str(port)]
    command += ["--backend-store-uri", mlflow.get_tracking_uri()]
    # Each of its processes would warn of the same packages that MLflow, not we, has to leave.
    quiet = os.environ | {"PYTHONWARNINGS": "ignore"}
    try:
        # To the whole group: MLflow's first process does not tell its workers where it is killed.
        code = run_to_the_end(
            command, lambda mlflow_ui: os.killpg(mlflow_ui.pid, signal.SIGTERM), environment=quiet
        )
    except Stopped as stopped:
        if stopped.number == signal.SIGINT:
            return 0  # the usual end
        raise
    # Whoever begins to serve at the same time is not listening yet where we look.
    raise UserError(
        f"MLflow ended by itself, with exit code {code}; the lines above say why", remedy=_another(port)
    )


def _require_free(port: int) -> None:
    if not 0 < port < 65536:
        raise UserError(
            f"port: expected 1 to 65535, received {port}", remedy=f"make mlflow-ui PORT={_USUAL_PORT}"
        )
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind((_HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be had ({error.strerror}); perhaps the pages are open there already",
                remedy=_another(port),
            ) from error


def _another(port: int) -> str:
    return f"make mlflow-ui PORT={port + 1 if _USUAL_PORT <= port < 65535 else _USUAL_PORT}"


def links(port: int) -> list[str]:
    """For each profile a line with the address of its results, and one with that of its experiments by DVC.

    Results that came from DVC's cache have no runs here; what logs them stands behind the address.
    """
    lines, store = [], client()
    for one in store.search_experiments():
        if not one.name.startswith("lung-attention/") or one.name == EXPORTED:
            continue
        page = f"http://{_HOST}:{port}/#/"
        line = f"{one.name}: {page}{share_view(store, one)}"
        if not store.search_runs([one.experiment_id], RESULTS, max_results=1):
            line += f"\n  no results yet -> lung-attention track --profile {one.name.partition('/')[2]}"
        if store.search_runs([one.experiment_id], EXPERIMENTS, max_results=1):
            line += f"\n  DVC's experiments: {page}{share_view(store, one, EXPERIMENTS)}"
        lines.append(line)
    return lines or ["no results yet -> lung-attention track"]
