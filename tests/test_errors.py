"""What is told where the machine does not let a program write."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lung_attention.errors import run_guarded


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC])
def test_a_closed_or_full_disk_is_told_without_a_traceback(number, capsys):
    def main():
        raise OSError(number, os.strerror(number), "results/x.json")

    with pytest.raises(SystemExit) as caught:
        run_guarded(main)
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert "results/x.json" in said and "the same command then goes on" in said


def test_a_reader_that_has_read_enough_is_no_mistake():
    program = "from lung_attention.errors import run_guarded; run_guarded(lambda: print('line\\n' * 100_000))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"line\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_other_mistakes_of_the_code_keep_their_traceback():
    def main():
        raise OSError(errno.EBADF, "bad")

    with pytest.raises(OSError, match="bad"):
        run_guarded(main)


def test_a_missing_file_is_named_with_what_brings_it_back(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        run_guarded(lambda: Path("results/experiments.csv").read_text() and None)
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert "No such file or directory (results/experiments.csv)" in said and "git checkout" in said
