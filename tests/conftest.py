"""Fixtures for tests of several packages, and which of these tests run beside each other."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import pytest
from postgres import Postgres, reason_for_absence, running_postgres
from xdist.scheduler import LoadScopeScheduling

# Files that take minutes to begin with: they come first, so that no worker waits for one at the end.
LONGEST = ("test_sample_dag.py", "test_extend.py", "test_public_profile.py")


class ByFolder(LoadScopeScheduling):
    """Keeps a folder on one of several workers (`make test`): its tests share what takes long to make.

    The groups of `--dist loadgroup` do nothing with pytest 9: pytest-xdist 3.8 writes them into names that
    pytest no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = PurePosixPath(nodeid.partition("::")[0])
        alone = file.name in LONGEST or file.parent.name in ("tests", "pipeline", "real")
        return str(file if alone else file.parent)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    """Parts the tests."""
    return ByFolder(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, all others in their order."""
    items.sort(key=lambda item: (*LONGEST, item.path.name).index(item.path.name))


@pytest.fixture(autouse=True, scope="module")
def search_path() -> Iterator[None]:
    """Python's search path as it was: MLflow puts the code that a loaded model carries first, for good."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server on 127.0.0.1; `postgres.new_database()` gives an address for SQLAlchemy.

    Skips with a reason where none can be started.
    """
    if reason := reason_for_absence():
        pytest.skip(reason)
    with running_postgres() as server:
        yield server
