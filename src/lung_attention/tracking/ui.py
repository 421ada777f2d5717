"""MLflow's pages on the runs: served here, with links that open what is worth a look."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from lung_attention.errors import UserError
from lung_attention.tracking.server import check_reachable, client, connect

_HOST = "127.0.0.1"
# The runs with results, the best first, in the view for trainings rather than for chats.
_VIEW = {
    "searchFilter": "tags.complete = 'true'",
    "orderByKey": "metrics.`test_balanced_accuracy`",
    "orderByAsc": "false",
    "startTime": "ALL",
    "lifecycleFilter": "Active",
}


def serve_ui(root: Path, port: int) -> int:
    """Serves MLflow's pages until Ctrl-C.

    Args:
        root: The project's root, where the default tracking database lies.
        port: On which they are served, on this machine alone.

    Returns:
        The exit code of MLflow.

    Raises:
        UserError: The port is taken.
        TrackingUnavailableError: The database or server behind the pages does not answer.
    """
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            free.bind((_HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be had ({error.strerror}); perhaps the pages are open there already",
                remedy=f"make mlflow-ui PORT={port + 1}",
            ) from error
    connect(root)
    check_reachable()
    for link in links(port):
        print(link, flush=True)
    import mlflow

    command = [sys.executable, "-m", "mlflow", "ui", "--host", _HOST, "--port", str(port)]
    command += ["--backend-store-uri", mlflow.get_tracking_uri()]
    try:
        return subprocess.run(command, env=os.environ, check=False).returncode
    except KeyboardInterrupt:
        return 0


def links(port: int) -> list[str]:
    """For each experiment of the project a line with the address of its runs."""
    query = "&".join(f"{key}={quote(value)}" for key, value in _VIEW.items())
    return [
        f"{one.name}: http://{_HOST}:{port}/#/experiments/{one.experiment_id}/runs?{query}"
        for one in client().search_experiments()
        if one.name.startswith("lung-attention/")
    ]
