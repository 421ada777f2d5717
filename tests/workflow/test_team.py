"""docs/team.md, command by command, against a remote, a PostgreSQL and an MLflow server of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy
import yaml

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / "team.md").read_text(), re.MULTILINE | re.DOTALL)

# Two quick stages stand for the pipeline.
STAGES = ("code", "download")
LEFT_OUT = ("tests", "docs", "search", "tools", "results/local", "results/sample/cells")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A checkout of two stages of one dataset, in git."""
    project = tmp_path_factory.mktemp("team") / "first"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file() and not name.startswith(LEFT_OUT) and name != "dvc.lock":
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name)
    pipeline = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
    pipeline["stages"] = {name: pipeline["stages"][name] for name in STAGES}
    pipeline["stages"]["download"]["matrix"] = {"dataset": ["iqoth"]}
    (project / "dvc.yaml").write_text(yaml.safe_dump(pipeline), encoding="utf-8")
    sh("git init -q -b main && git add -A && git commit -qm start", project)
    return project


def sh(commands, folder, replaced=(), **variables):
    """Runs a block of the page with other addresses; returns what it prints, and its folder at the end."""
    for old, new in replaced:
        assert old in commands, f"docs/team.md no longer says {old}"
        commands = commands.replace(old, str(new))
    environment = {name: text for name, text in os.environ.items() if not name.startswith(("MLFLOW", "LUNG"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HOME": str(folder.parent),  # no configuration of DVC or git but the project's
        **{f"GIT_{who}_{what}": "a@b.c" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        **variables,
    }
    command = ["sh", "-ec", f"{commands}\npwd"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{commands}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout, Path(done.stdout.splitlines()[-1])


def block(*words):
    """The one block of the page with all these words."""
    (found,) = (text for text in BLOCKS if all(word in text for word in words))
    return found


def test_every_block_of_the_page_is_run_here():
    known = [("remote add",), ("dvc push",), ("git clone",), ("make cache",), ("mlflow server",)]
    known += [("experiments",), ("optuna",)]
    assert sorted(block(*words) for words in known) == sorted(BLOCKS)


def set_counts(project, *, checked):
    """Changes a parameter on which the stage `download` depends."""
    text, changed = re.subn(
        r"check_counts: \w+ # the",
        f"check_counts: {str(checked).lower()} # the",
        (project / "params.yaml").read_text(),
    )
    assert changed == 1
    (project / "params.yaml").write_text(text, encoding="utf-8")


def test_what_one_pushes_another_one_need_not_run(project):
    remote = project.parent / "remote"
    sh(block("remote add"), project, [("/srv/dvc", remote)])
    set_counts(project, checked=False)
    sh("dvc repro -q", project)
    set_counts(project, checked=True)
    sh("dvc repro -q && git add -A && git commit -qm results", project)
    sh(block("dvc push"), project)
    said, second = sh(
        block("git clone"),
        project.parent,
        [
            ("git@host:team/lung-attention.git", f"{project} lung-attention"),
            ("make env", ":"),  # the tests' own environment
            (". .venv/bin/activate", ":"),
        ],
    )
    assert "Data and pipelines are up to date." in said
    assert "Running stage" not in said
    archive = Path("artifacts/sample/archives/iqoth.zip")
    assert (second / archive).read_bytes() == (project / archive).read_bytes()
    assert any((remote / "runs").iterdir()), "the run cache"

    set_counts(second, checked=False)  # as the first one had it before
    assert "'download@iqoth' is cached - skipping run" in sh("dvc repro", second)[0]

    (second / ".venv").symlink_to(sys.prefix)
    cache = block("make cache")
    sh(cache, second, [("make", "make -o env"), ("/srv/lung-attention", project.parent / "common")])
    configured, _ = sh("dvc cache dir", second)
    assert configured.splitlines()[0] == str(project.parent / "common" / "dvc")


@contextmanager
def served(commands, port):
    """Runs a server until the end of the block."""
    server = subprocess.Popen(
        ["sh", "-c", f"exec {commands}"],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for _ in range(600):
            assert server.poll() is None
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def test_the_server_answers_and_takes_runs(project, postgres):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    commands = block("mlflow server")
    database = postgres.new_database()
    replaced = [
        ("0.0.0.0", "127.0.0.1"),
        ("--port 5000", f"--port {port} --workers 1"),
        ("mlflow.example.org:5000", f"127.0.0.1:{port}"),
        ("postgresql+psycopg2://mlflow:secret@db.example.org/mlflow", database),
        ("/srv/mlflow", project.parent / "mlflow"),
    ]
    for old, new in replaced:
        assert old in commands
        commands = commands.replace(old, str(new))
    address = ("mlflow.example.org:5000", f"127.0.0.1:{port}")
    with served(commands, port):
        said, _ = sh(block("experiments"), project, [address])
        assert "Default" in said
    engine = sqlalchemy.create_engine(database)
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("SELECT name FROM experiments")).scalars().all()
    engine.dispose()


def test_studies_have_a_database(project, postgres):
    database = postgres.new_database()
    sh(block("optuna"), project, [("postgresql+psycopg2://optuna:secret@db.example.org/optuna", database)])
    engine = sqlalchemy.create_engine(database)
    assert "studies" in sqlalchemy.inspect(engine).get_table_names()
    engine.dispose()
