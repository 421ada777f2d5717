"""Stages without the wait for their imports: forked from a process that has imported what stages import.

Half the time of a small stage is the import of TensorFlow, MLflow and their like. multiprocessing's server
imports them once (`preloaded`), and a process for each stage is forked from it, in which DVC runs. Before DVC
does, this process forks another, whose only work is to fork what DVC starts: so a stage begins with imported
modules and nothing else, in a process of its own, as if it had been started.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, util
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

FORKS = sys.platform == "linux"
"""Whether stages are forked; elsewhere libraries of the system may not be, and each stage is started."""


def worker_context() -> BaseContext:
    """How processes are made: forked from a server that begins to import here, or started."""
    if not FORKS:
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lung_attention.workflow.preloaded"])
    forkserver.ensure_running()
    return context


def end_server() -> None:
    """Ends the server once its processes have ended, so that what they took counts as this process's."""
    if FORKS:
        server: Any = forkserver._forkserver
        server._stop()


def fork_stages() -> None:
    """Makes DVC fork the stages that it runs in this process. To be called before anything else runs here."""
    if not FORKS:
        return
    from dvc.stage import run
    from dvc.stage.exceptions import StageCmdFailedError

    here, there = multiprocessing.Pipe()
    child = os.fork()
    if not child:
        here.close()
        _serve(there)
    there.close()

    def end() -> None:
        here.close()
        os.waitpid(child, 0)

    util.Finalize(None, end, exitpriority=0)
    start: Any = run._run

    def run_command(executable: str | None, command: str, **kwargs: Any) -> None:
        words = script_words(command)
        if words is None:
            start(executable, command, **kwargs)
            return
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the stage gets it, too
        try:
            here.send((words, kwargs["cwd"], kwargs["env"]))
            code = here.recv()
        except (EOFError, OSError):  # killed
            code = -signal.SIGKILL
        finally:
            signal.signal(signal.SIGINT, handler)
        if code:
            raise StageCmdFailedError(command, code)

    run._run = run_command


def script_words(command: str) -> list[str] | None:
    """Script and arguments of a command that is `python SCRIPT.py …` and needs no shell; else None."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    plain = shlex.join(words) == command and words[:1] == ["python"] and words[1:]
    return words[1:] if plain and words[1].endswith(".py") else None


def _serve(requests: Connection) -> None:
    """Forks a stage for each request and answers with its exit code, until the other side has ended."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        context = multiprocessing.get_context("fork")
        while True:
            stage = context.Process(target=_run_script, args=requests.recv())
            stage.start()
            stage.join()
            requests.send(stage.exitcode)
    finally:
        os._exit(0)  # whatever comes next is the other process's


def _run_script(words: Sequence[str], folder: str, environment: Mapping[str, str]) -> None:
    """Runs a script as Python would."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(words)
    sys.path.insert(0, str(Path(words[0]).resolve().parent))
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # forked processes end without
