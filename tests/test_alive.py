"""How a program ends with the process that runs it."""

import os
import signal
import subprocess
import sys

import pytest

from lung_attention.tracking.processes import _started

# A program with a worker that hears no request to end, as MLflow's do where its first process is killed.
PROGRAM = """
import os, signal, subprocess, sys, time
if sys.argv[1] == "worker":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), flush=True)
    time.sleep(60)
subprocess.Popen([sys.executable, "-c", sys.argv[2], "worker"])
time.sleep(float(sys.argv[1]))
sys.exit(3)
"""
COMMAND = """
import os, signal, sys
from lung_attention.alive import run_to_the_end
from lung_attention.errors import run_guarded
run_guarded(lambda: run_to_the_end(
    [sys.executable, "-c", sys.argv[1], sys.argv[2], sys.argv[1]],
    lambda program: os.killpg(program.pid, signal.SIGTERM), patience_seconds=0.5,
))
"""


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (None, 3)]
)
def test_all_processes_of_a_program_end_with_the_command(sent, code):
    seconds = "2" if sent is None else "60"
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND, PROGRAM, seconds],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as command:
        worker = int(command.stdout.readline())
        assert _started(worker) is not None
        if sent is not None:
            os.killpg(command.pid, sent)  # as a terminal does, and `timeout`
        assert command.wait(timeout=30) == code
        assert _started(worker) is None
        assert command.stderr.read() == ("" if sent is None else "stopped\n")
