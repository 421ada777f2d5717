"""A stage that is forked sees what it would see had it been started."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lung_attention.alive import is_running
from lung_attention.errors import UserError
from lung_attention.workflow import jobs
from lung_attention.workflow.forked import FORKS, script_words
from lung_attention.workflow.jobs import reproduce_in_parallel

ROOT = Path(__file__).parents[2]

LOOK = """
import atexit, json, os, sys, threading
import beside
seen = {
    "argv": sys.argv,
    "name": __name__,
    "main": sys.modules["__main__"].__dict__ is globals(),
    "folder": os.getcwd(),
    "stage": os.environ["DVC_STAGE"],
    "asked": os.environ["ASKED"],
    "threads": threading.active_count(),
    "preloaded": "mlflow" in sys.modules,
    "looked_up": bool(
        getattr(sys.modules.get("mlflow.utils.requirements_utils"), "_MODULES_TO_PACKAGES", None)
    ),
    "beside": beside.__file__,
}
atexit.register(print, "ended", sys.argv[1])
open(sys.argv[1], "w").write(json.dumps(seen))
"""
PIPELINE = """
stages:
  one:
    cmd: python scripts/look.py one --name=1,2
    outs: [one]
  two:
    cmd: python scripts/look.py two
    outs: [two]
"""


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(jobs, "check_reachable", lambda: None)  # nothing is logged here
    monkeypatch.setattr(jobs, "end_server", lambda: None)  # it serves the next test
    monkeypatch.setenv("ASKED", "as is")
    Path("scripts").mkdir()
    Path("scripts/look.py").write_text(LOOK)
    Path("scripts/beside.py").write_text("")
    Path("dvc.yaml").write_text(PIPELINE)
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True)


@pytest.mark.skipif(not FORKS, reason="stages are started here, not forked")
def test_a_forked_stage_is_as_python_would_run_it(pipeline, tmp_path, capfd):
    reproduce_in_parallel(2)
    for name, arguments in {"one": ["one", "--name=1,2"], "two": ["two"]}.items():
        assert json.loads(Path(name).read_text()) == {
            "argv": ["scripts/look.py", *arguments],
            "name": "__main__",
            "main": True,
            "folder": str(tmp_path),
            "stage": name,
            "asked": "as is",
            "threads": 1,
            "preloaded": True,
            "looked_up": True,
            "beside": str(tmp_path / "scripts" / "beside.py"),
        }
    assert {"ended one", "ended two"} <= set(capfd.readouterr().out.splitlines())


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ('sys.exit("no room")', "no room"),
        ('raise ValueError("no such value")', "ValueError: no such value"),
        ("os.kill(os.getpid(), 9)", "exited with -9"),
    ],
)
def test_a_stage_that_fails_is_told_as_it_fails(pipeline, capfd, last, told):
    with Path("scripts/look.py").open("a") as script:
        script.write(f'if sys.argv[1] == "one":\n    {last}\n')
    with pytest.raises(UserError, match="failed: one; the lines above say why"):
        reproduce_in_parallel(2)
    assert told in capfd.readouterr().out
    assert "two:" in Path("dvc.lock").read_text()
    assert "one:" not in Path("dvc.lock").read_text()


@given(st.lists(st.text(min_size=1), max_size=4))
def test_arguments_reach_a_script_or_the_command_is_left_to_the_shell(arguments):
    command = shlex.join(["python", "stages/x.py", *arguments])
    assert script_words(command) == ["stages/x.py", *arguments]
    assert script_words(f"{command} > file") is None
    assert script_words(f"{command} $HOME") is None


@pytest.mark.parametrize(
    "command",
    ["", "python", "python -m x", "cat a.py", "./x.py", "python x", "python 'x.py", "A=1 python x.py"],
)
def test_other_commands_are_left_to_the_shell(command):
    assert script_words(command) is None


def test_what_stages_import_is_imported_and_nothing_begins_to_compute():
    """A GPU, or threads of TensorFlow, would not outlive a fork."""
    look = (
        "import sys, threading\n"
        "import lung_attention.workflow.preloaded\n"
        "from tensorflow.python.eager import context\n"
        "known = {'keras', 'mlflow', 'dvc.cli', 'lung_attention.training.fits'}\n"
        "print(known <= sys.modules.keys(), context.context()._initialized, threading.active_count())"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "1"]
    assert done.stderr == ""


@pytest.mark.skipif(not FORKS, reason="stages are started here, not forked")
@pytest.mark.parametrize(("sent", "to_all"), [(signal.SIGINT, True), (signal.SIGKILL, False)])
def test_a_forked_stage_ends_with_the_run(pipeline, tmp_path, sent, to_all):
    """Ctrl-C in a terminal reaches all processes; a kill reaches that of `make repro` alone."""
    wait = (
        "import os, time\n"
        "from lung_attention.errors import run_guarded\n"
        "def main():\n    open('pid', 'w').write(f'{os.getpid()} ')\n    time.sleep(300)\n"
        "run_guarded(main)\n"
    )
    Path("scripts/look.py").write_text(wait)
    program = (
        "from lung_attention.workflow import jobs\n"
        "jobs.check_reachable = lambda: None\n"
        "jobs.reproduce_in_parallel(2)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        # What a shell starts in the background ignores SIGINT, and hands that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        stage = until(lambda: Path("pid").exists() and Path("pid").read_text().partition(" "))
        pid = int(stage[0])
        assert is_running(pid)
        (os.killpg if to_all else os.kill)(run.pid, sent)
        assert run.wait(60) != 0
        until(lambda: not is_running(pid))
        # Whatever else came with the run is gone, too: no process of its session is left.
        until(lambda: not session(run.pid))
    finally:
        if left := session(run.pid):
            os.killpg(run.pid, signal.SIGKILL)
        assert not left


def test_what_stages_take_counts_as_the_commands(pipeline):
    """As `time make repro` says it."""
    Path("scripts/look.py").write_text(
        "import sys, time\nwhile time.process_time() < 5:\n    pass\nopen(sys.argv[1], 'w').write('x')\n"
    )
    program = (
        "import resource\n"
        "from lung_attention.workflow import jobs\n"
        "jobs.check_reachable = lambda: None\n"
        "jobs.reproduce_in_parallel(2)\n"
        "children = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(children.ru_utime + children.ru_stime)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout.splitlines()[-1]) > 10


@pytest.mark.skipif(not FORKS, reason="stages are started here, not forked")
def test_a_server_that_is_killed_as_a_stage_begins_is_told_without_a_traceback():
    program = """
import multiprocessing, os, signal, threading
from multiprocessing import forkserver
from lung_attention.errors import run_guarded
from lung_attention.workflow.jobs import begun

def main():
    context = multiprocessing.get_context("forkserver")
    forkserver.ensure_running()
    server = forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGSTOP)  # the stage waits for it
    threading.Timer(0.5, os.kill, (server, signal.SIGKILL)).start()
    begun(context.Process(target=print), "train@a")

run_guarded(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "train@a: no process could be made for it (EOFError: unexpected EOF)" in done.stderr
    assert "Traceback" not in done.stderr


def session(leader):
    """The processes of a session that still run."""
    done = subprocess.run(
        ["ps", "-s", str(leader), "-o", "stat=,args="], capture_output=True, text=True, check=False
    )
    return [line for line in done.stdout.splitlines() if not line.startswith("Z")]


def until(found, seconds=90):
    """Waits for what is asked to be true, and returns it."""
    for _ in range(seconds * 10):
        if answer := found():
            return answer
        time.sleep(0.1)
    raise AssertionError("waited in vain")
