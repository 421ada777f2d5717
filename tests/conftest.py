"""Fixtures for tests of several packages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from postgres import Postgres, reason_for_absence, running_postgres


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps a folder on one of several workers (`make test`): its tests share what takes long to make."""
    for item in items:
        folder = item.path.parent
        shared = item.path if folder.name in ("tests", "pipeline", "real") else folder
        item.add_marker(pytest.mark.xdist_group(str(shared)))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server on 127.0.0.1; `postgres.new_database()` gives an address for SQLAlchemy.

    Skips with a reason where none can be started.
    """
    if reason := reason_for_absence():
        pytest.skip(reason)
    with running_postgres() as server:
        yield server
