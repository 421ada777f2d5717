"""The database that holds studies, with Optuna's heartbeat: it tells which of its workers are dead.

A worker is a process that runs trials. While it runs one, a thread of it writes a sign of life now and then.
Where these stop, another worker marks the trial as failed and queues its parameters again.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback

from lung_attention.errors import UserError
from lung_attention.search.address import SQLITE, without_password

# Workers that start at once on an empty database all try to make its tables; all but one fail at first.
_OPENINGS = 3

# SQLite locks the whole file for each write; other workers wait for so long before they fail.
_SQLITE_SECONDS = 60


def open_storage(address: str, *, heartbeat_s: int, grace_s: int) -> RDBStorage:
    """Opens the database of studies and makes its tables, for SQLite also its file.

    Args:
        address: As SQLAlchemy spells it, such as `postgresql+psycopg2://user@host/name`.
        heartbeat_s: Seconds between two signs of life of a worker.
        grace_s: After how many seconds of silence a worker counts as dead.

    Raises:
        UserError: The database cannot be opened.
    """
    # A connection that the server has closed meanwhile is made anew.
    engine: dict[str, Any] = {"pool_pre_ping": True}
    if address.startswith("sqlite"):
        engine["connect_args"] = {"timeout": _SQLITE_SECONDS}
    for attempt in range(_OPENINGS):
        if attempt:
            time.sleep(1)
        try:
            if address.startswith(SQLITE):
                Path(address.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    address,
                    engine_kwargs=engine,
                    heartbeat_interval=heartbeat_s,
                    grace_period=grace_s,
                    heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
                )
        except Exception as error:  # of SQLAlchemy, of the driver, of the system, or of Optuna
            problem = type(error).__name__
    # Not raised from the error, which repeats the address with its password.
    raise UserError(
        f"the database of studies at {without_password(address)} cannot be opened ({problem})",
        remedy="start it, install its driver (postgresql+psycopg2: pip install psycopg2-binary), or use a "
        f"file on this machine: make search … STORAGE={SQLITE}studies.db",
    )
