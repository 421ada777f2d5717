"""A work tree out of which a run was killed while DVC had taken it over: a real repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lung_attention.errors import UserError
from lung_attention.workflow.killed import noted_branch, refuse_taken_over

PARAMS = Path("params.yaml")
NOTE = Path(".dvc/tmp/lung-attention/branch")


def git(*arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    git("init", "-q", "-b", "work")
    PARAMS.write_text("a: 1")
    git("add", "params.yaml")
    git("commit", "-qm", "start")


def take_over():
    """As DVC does when it writes an experiment down."""
    git("checkout", "-q", "--detach")
    git("stash")
    PARAMS.write_text("a: the experiment's")
    git("add", "params.yaml")


def killed(pid):
    """A run that began here, and did not end by itself."""
    with noted_branch(Path()):
        said = NOTE.read_text()
    NOTE.write_text(said.replace(f"{os.getpid()} ", f"{pid} "))


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_the_remedy_gives_branch_and_changes_back(repository, ended):
    PARAMS.write_text("a: mine")
    killed(ended)
    take_over()
    with pytest.raises(UserError, match="while DVC had taken over") as caught:
        refuse_taken_over(Path())
    subprocess.run(caught.value.remedy, shell=True, check=True, capture_output=True)
    assert PARAMS.read_text() == "a: mine"
    refuse_taken_over(Path())
    with noted_branch(Path()):
        assert " work " in NOTE.read_text()
    assert not NOTE.exists()


def test_without_changes_there_is_no_stash_to_take_from(repository, ended):
    killed(ended)
    git("checkout", "-q", "--detach")
    PARAMS.write_text("a: the experiment's")
    with pytest.raises(UserError) as caught:
        refuse_taken_over(Path())
    assert caught.value.remedy == "git checkout --force work"


def test_changes_that_are_in_no_stash_yet_are_kept(repository, ended):
    PARAMS.write_text("a: mine before")
    git("stash")  # an older one of the user's own
    PARAMS.write_text("a: mine")
    killed(ended)
    git("checkout", "-q", "--detach")
    with pytest.raises(UserError) as caught:
        refuse_taken_over(Path())
    subprocess.run(caught.value.remedy, shell=True, check=True, capture_output=True)
    assert PARAMS.read_text() == "a: mine"
    refuse_taken_over(Path())


@pytest.mark.parametrize("where", ["on a branch", "detached, as continuous integration is"])
def test_nothing_is_refused_after_a_kill_at_any_other_time(repository, ended, where):
    if where == "on a branch":
        killed(ended)
    else:
        git("checkout", "-q", "--detach")
    refuse_taken_over(Path())
    with noted_branch(Path()):
        assert NOTE.exists() == (where == "on a branch")


def test_another_run_at_work_may_have_the_work_tree(repository):
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        killed(process.pid)
        git("checkout", "-q", "--detach")
        refuse_taken_over(Path())
        process.kill()


def test_a_process_that_came_by_the_number_later_is_no_run(repository):
    killed(os.getpid())
    os.utime(NOTE, (1, 1))
    git("checkout", "-q", "--detach")
    with pytest.raises(UserError, match="while DVC had taken over"):
        refuse_taken_over(Path())
