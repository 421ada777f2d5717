"""Storages of studies, and which trials in them were left running by a worker that is dead.

A journal, one file, serves the processes of one machine. It has no heartbeat; instead each worker holds a
lock on a file of its own, which the system takes from it when it dies, however that happens. A database
serves workers of many machines and has Optuna's heartbeat.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from optuna import Study
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import (
    BaseStorage,
    JournalStorage,
    RDBStorage,
    fail_stale_trials,
)
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

from lung_attention.errors import UserError
from lung_attention.search.repetitions import WORKER, queue_again, queue_missing

# Names the storage where no option does: the address of a database holds its password.
STORAGE_VARIABLE = "LUNG_ATTENTION_STORAGE"

# Workers that start at once on an empty database all try to make its tables; all but one fail at first.
_OPENINGS = 3

# In a journal: how long a trial may go without a worker's name, which is written right after the trial.
_SIGNING_SECONDS = 30.0


class Workers(Protocol):
    """A storage and the workers that share it.

    Attributes:
        storage: Optuna's.
        name: This worker's.
    """

    storage: BaseStorage
    name: str

    def requeue_lost(self, study: Study) -> None:
        """Fails the trials that dead workers left running and queues the parameters of each again, once."""


@contextmanager
def open_workers(address: str | Path, *, heartbeat_s: int, grace_s: int) -> Iterator[Workers]:
    """Opens a storage and makes this process one of its workers.

    Args:
        address: The path of a journal, which is made where it is missing, or the address of a database, such
            as `postgresql+psycopg2://user@host/name`.
        heartbeat_s: Databases: seconds between two signs of life.
        grace_s: Databases: after how many seconds of silence a worker counts as dead.

    Yields:
        The worker.

    Raises:
        UserError: The database cannot be opened.
    """
    if "://" not in str(address):
        with _journal_workers(Path(address)) as workers:
            yield workers
        return
    yield DatabaseWorkers(_database(str(address), heartbeat_s=heartbeat_s, grace_s=grace_s), grace_s)


def _database(address: str, *, heartbeat_s: int, grace_s: int) -> RDBStorage:
    for attempt in range(_OPENINGS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    address,
                    heartbeat_interval=heartbeat_s,
                    grace_period=grace_s,
                    heartbeat_stale_trial_callback=queue_again,
                    # A connection that the server has closed meanwhile is made anew.
                    engine_kwargs={"pool_pre_ping": True},
                )
        except Exception as error:
            problem = type(error).__name__
            if attempt + 1 < _OPENINGS:
                time.sleep(1)
    raise UserError(
        # Neither user nor password is told.
        f"the studies' database at {address.rpartition('@')[2]} cannot be opened ({problem})",
        remedy="start it, install its driver, or leave --storage out for a file on this machine",
    )


def _new_name() -> str:
    return f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"


class _Unsigned:
    """Trials without a worker's name, and for how long each has been seen so.

    By this process' own clock: those of other machines may be set otherwise.
    """

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int], float] = {}

    def seconds(self, study: Study, trial: FrozenTrial) -> float:
        """Seconds since this worker first saw the trial without a name."""
        now = time.monotonic()
        return now - self._seen.setdefault((study.study_name, trial.number), now)


class DatabaseWorkers:
    """Workers of a database, told dead from alive by Optuna's heartbeat.

    Attributes:
        storage: With heartbeat.
        name: This worker's.

    Args:
        storage: With heartbeat.
        grace_s: After how many seconds a trial that nobody has taken up is lost.
    """

    def __init__(self, storage: RDBStorage, grace_s: int) -> None:
        self.storage: BaseStorage = storage
        self.name = _new_name()
        self._grace_s = grace_s
        self._unsigned = _Unsigned()

    def requeue_lost(self, study: Study) -> None:
        """Fails and queues again what dead workers left running; killed in between, the next call goes on."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            fail_stale_trials(study)
        # A worker that dies between making a trial and its first sign of life leaves one without heartbeat.
        for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if WORKER not in trial.user_attrs and self._unsigned.seconds(study, trial) > 2 * self._grace_s:
                with suppress(UpdateFinishedTrialError):  # another worker was faster
                    self.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
        queue_missing(study)


class JournalWorkers:
    """Workers of a journal, told dead from alive by the locks that they hold.

    Attributes:
        storage: The journal.
        name: This worker's.

    Args:
        path: The journal.
        name: This worker's.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.name = name
        self._folder = _folder(path)
        self._unsigned = _Unsigned()
        self.storage: BaseStorage = JournalStorage(JournalFileBackend(str(path), lock_obj=JournalLock(path)))

    def requeue_lost(self, study: Study) -> None:
        """Fails and queues again what dead workers left running; killed in between, the next call goes on."""
        with _locked(self._folder / "requeue"):
            for trial in study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
                if not self._is_alive(study, trial):
                    study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            queue_missing(study)

    def _is_alive(self, study: Study, trial: FrozenTrial) -> bool:
        worker = trial.user_attrs.get(WORKER)
        if worker is not None:
            return worker == self.name or _is_locked(self._folder / f"{worker}.worker")
        others = any(_is_locked(path) for path in self._folder.glob("*.worker") if path.stem != self.name)
        return others and self._unsigned.seconds(study, trial) < _SIGNING_SECONDS


def _folder(journal: Path) -> Path:
    return journal.with_name(f"{journal.name}.workers")


@contextmanager
def _journal_workers(path: Path) -> Iterator[JournalWorkers]:
    _folder(path).mkdir(parents=True, exist_ok=True)
    name = _new_name()
    own = _folder(path) / f"{name}.worker"
    with _locked(own):
        try:
            yield JournalWorkers(path, name)
        finally:
            own.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[IO[bytes]]:
    """Holds a lock on a file, which the system releases when the process ends."""
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield stream


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class JournalLock(JournalFileOpenLock):  # the class behind both is not public
    """Keeps a journal's writers apart; that of a killed writer is free at once, and its half line is removed.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path
        self._stream: IO[bytes] | None = None

    def acquire(self) -> bool:
        """Waits for the lock."""
        stream = self._path.open("rb+")
        fcntl.flock(stream, fcntl.LOCK_EX)
        _drop_half_line(stream)
        self._stream = stream
        return True

    def release(self) -> None:
        """Gives the lock back."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None


def _drop_half_line(stream: IO[bytes]) -> None:
    """Cuts off what a killed writer left behind the last line's end; the rest would be unreadable."""
    end = stream.seek(0, os.SEEK_END)
    at = end
    while at:
        start = max(0, at - 4096)
        stream.seek(start)
        found = stream.read(at - start).rfind(b"\n")
        if found >= 0:
            at = start + found + 1
            break
        at = start
    if at < end:
        stream.truncate(at)
