"""Fixtures for tests of several packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import Postgres, reason_for_absence, running_postgres

ROOT = Path(__file__).parent

# Files that take minutes to begin with: they come first, so that no worker waits for one at the end.
LONGEST = ("test_sample_dag.py", "test_extend.py", "test_public_profile.py")


@pytest.hookimpl(tryfirst=True)  # before the plugin that parts the tests looks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keeps a folder on one of several workers (`make test`): its tests share what takes long to make."""
    for item in items:
        folder = item.path.parent
        alone = item.path.name in LONGEST or folder.name in ("tests", "pipeline", "real")
        item.add_marker(pytest.mark.xdist_group(str((item.path if alone else folder).relative_to(ROOT))))
    # In order among themselves; sorting is stable.
    items.sort(key=lambda item: (*LONGEST, item.path.name).index(item.path.name))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server on 127.0.0.1; `postgres.new_database()` gives an address for SQLAlchemy.

    Skips with a reason where none can be started.
    """
    if reason := reason_for_absence():
        pytest.skip(reason)
    with running_postgres() as server:
        yield server
