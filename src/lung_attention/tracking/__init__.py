"""MLflow: one run a cell, found by what it is and not by a stored id. Nothing else imports MLflow.

MLflow takes seconds to import, so every module here imports it inside the functions that need it.
"""

from lung_attention.tracking.identity import RunIdentity
from lung_attention.tracking.live import RunLogger, live_run
from lung_attention.tracking.server import TrackingUnavailableError, check_reachable, connect

__all__ = [
    "RunIdentity",
    "RunLogger",
    "TrackingUnavailableError",
    "check_reachable",
    "connect",
    "live_run",
]
