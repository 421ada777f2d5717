"""The command line: what a user sees of a mistake."""

import errno
import os
import shlex
import shutil
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from lung_attention.alive import RUN_VARIABLE
from lung_attention.cli import build_parser
from lung_attention.errors import UserError, run_guarded
from lung_attention.help import EXAMPLES, commands


def failing(error):
    def main():
        raise error

    return main


def test_a_users_mistake_is_a_message_with_its_remedy_and_exit_code_2(capsys):
    with pytest.raises(SystemExit) as exited:
        run_guarded(failing(UserError("no file x", remedy="fetch x")))
    assert exited.value.code == 2
    captured = capsys.readouterr()
    assert captured.err == "error: no file x\n  -> fetch x\n"
    assert captured.out == ""


def test_an_interruption_says_so(capsys):
    with pytest.raises(SystemExit) as exited:
        run_guarded(failing(KeyboardInterrupt()))
    assert exited.value.code == 130
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_what_every_file_will_meet_is_told_in_a_line_with_its_remedy(capsys, number):
    with pytest.raises(SystemExit) as exited:
        run_guarded(failing(OSError(number, os.strerror(number), "artifacts/features.npy")))
    assert exited.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {os.strerror(number)} (artifacts/features.npy)\n  -> ")
    assert "the same command then goes on" in said


STAGE = """
import time
from lung_attention.errors import run_guarded
def main():
    print("working", flush=True)
    time.sleep(60)
run_guarded(main)
"""


def test_a_stage_ends_with_the_run_that_asked_for_it():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as asking:
        stage = subprocess.Popen(
            [sys.executable, "-c", STAGE],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, RUN_VARIABLE: str(asking.pid)},
        )
        assert stage.stdout.readline() == "working\n"
        asking.kill()
        asking.wait()
    with stage:
        assert stage.wait(timeout=20) == -signal.SIGTERM


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        run_guarded(failing(ZeroDivisionError()))


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1)])
def test_exit_codes(returned, code):
    with pytest.raises(SystemExit) as exited:
        run_guarded(lambda: returned)
    assert exited.value.code == code


def test_overrides_are_collected():
    arguments = build_parser().parse_args(["repro", "--profile", "local", "--set", "a=1", "--set", "b=2"])
    assert (arguments.profile, arguments.set) == ("local", ["a=1", "b=2"])


def test_overrides_without_a_profile_are_refused():
    arguments = build_parser().parse_args(["repro", "--set", "train.recipe.epochs=5"])
    with pytest.raises(UserError, match="name a profile"):
        arguments.run(arguments)


def test_without_a_command_the_usage_is_shown(capsys):
    with pytest.raises(SystemExit) as exited:
        build_parser().parse_args([])
    assert exited.value.code == 2
    assert "usage: lung-attention" in capsys.readouterr().err


def test_help_needs_no_tensorflow_and_no_mlflow():
    code = (
        "import sys; from lung_attention.cli import build_parser; import lung_attention.workflow.temporary;"
        "build_parser().format_help(); print({'tensorflow', 'keras', 'mlflow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_an_unknown_profile_is_refused_before_anything_runs(tmp_path):
    root = Path(__file__).parents[1]
    shutil.copy(root / "params.yaml", tmp_path)
    shutil.copytree(root / "datasets", tmp_path / "datasets")
    code = "from lung_attention.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "repro", "--profile", "lokal"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert "received 'lokal'" in done.stderr
    assert "Traceback" not in done.stderr


def test_each_command_has_examples_that_it_takes():
    parser = build_parser()
    assert set(EXAMPLES) == {name for name, _ in commands(parser)}
    for name, examples in EXAMPLES.items():
        for typed, _ in examples:
            assert typed.startswith(name)
            assert parser.parse_args(shlex.split(typed)).run


def test_bash_completes_commands_options_and_files(tmp_path):
    """Sourced in a real bash, asked as it asks after a tab."""
    (tmp_path / "README.md").touch()
    script = f"""
        source <({sys.executable} -c 'from lung_attention.cli import main; main()' --print-completion bash)
        ask() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _shtab_lung_attention; printf '%s ' "${{COMPREPLY[@]}}"; echo; }}
        ask lung-attention aud; ask lung-attention audit --sp; ask lung-attention audit RE
        ask lung-attention predict RE; ask lung-attention gate --json RE
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    said = [line.split() for line in done.stdout.splitlines()]
    assert said == [["audit"], ["--split"], ["README.md"], ["README.md"], ["README.md"]]


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.strip() == metadata.version("lung-attention")
