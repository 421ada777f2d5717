"""A PostgreSQL server of Debian's packages, for tests that need a database many processes write to."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import sqlalchemy

_USER = "lung_attention"
# Nothing here has to survive a power cut.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "32MB"}


class Postgres:
    """A running server on 127.0.0.1.

    Args:
        port: Where it listens.
        password: Of its superuser.
    """

    def __init__(self, port: int, password: str) -> None:
        self._port = port
        self._password = password
        self._numbers = count()

    def new_database(self) -> str:
        """Makes an empty database and returns its address as SQLAlchemy takes it."""
        name = f"test_{next(self._numbers)}"
        engine = sqlalchemy.create_engine(self._address("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return self._address(name)

    def _address(self, database: str) -> str:
        return f"postgresql+psycopg2://{_USER}:{self._password}@127.0.0.1:{self._port}/{database}"


def find_programs() -> Path | None:
    """The folder of the server's programs: Debian's newest, which is off the path, or that of the path."""
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    if versions := sorted(found, key=lambda path: float(path.parts[-3])):
        return versions[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def reason_for_absence() -> str | None:
    """Why no server can be started here, or `None` where one can."""
    if find_programs() is None:
        return "no PostgreSQL on this machine (Debian: apt-get install postgresql)"
    try:
        import psycopg2  # noqa: F401
    except ImportError:
        return "no driver for PostgreSQL (pip install psycopg2-binary)"
    if os.geteuid() == 0:
        users = {user.pw_name for user in pwd.getpwall()}
        if "postgres" not in users or shutil.which("runuser") is None:
            return "PostgreSQL refuses to run as root, and there is no user postgres to run it as"
    return None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Makes a server in a folder of its own and removes both at the end.

    PostgreSQL refuses to run as root. Tests that do (in a container) start it as the user `postgres`, which
    Debian's package makes.

    Yields:
        The server. It asks for a password, since other users of the machine can reach its port.
    """
    programs = find_programs()
    assert programs is not None, "ask reason_for_absence first"
    as_root = os.geteuid() == 0
    prefix = ["runuser", "-u", "postgres", "--"] if as_root else []
    # Not pytest's folder, which only its user may enter, and short, since it holds a socket.
    root = Path(tempfile.mkdtemp(prefix="pg-"))
    data = root / "data"
    password = secrets.token_hex(16)
    (root / "password").write_text(password)
    if as_root:
        for path in (root, root / "password"):
            shutil.chown(path, "postgres")

    def call(*command: str | Path) -> None:
        done = subprocess.run(
            [*prefix, *map(str, command)], capture_output=True, text=True, cwd="/", check=False
        )
        if done.returncode:
            log = root / "log"
            raise RuntimeError(done.stdout + done.stderr + (log.read_text() if log.exists() else ""))

    try:
        call(
            programs / "initdb", "-D", data, "-U", _USER, "--pwfile", root / "password",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
        )  # fmt: skip
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = _SETTINGS | {
            "port": str(port), "listen_addresses": "127.0.0.1", "unix_socket_directories": str(root),
        }  # fmt: skip
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        control = programs / "pg_ctl"
        call(control, "start", "-D", data, "-w", "-t", "120", "-l", root / "log", "-o", options)
        try:
            yield Postgres(port, password)
        finally:
            call(control, "stop", "-D", data, "-w", "-m", "immediate")
    finally:
        shutil.rmtree(root, ignore_errors=True)
