"""Whether dvc.lock belongs to the code: on a small pipeline of its own, with DVC itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from lung_attention.errors import UserError
from lung_attention.workflow.status import check_lock, stale_stages

PIPELINE = """
stages:
  first:
    cmd: cp code.txt first.txt
    deps: [code.txt]
    outs: [first.txt]
  second:
    cmd: cp first.txt second.txt
    deps: [first.txt, other.txt]
    outs: [second.txt]
"""


def dvc(*arguments):
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    """A pipeline that was run, as a fresh clone sees it: a lock, and no data."""
    folder = tmp_path_factory.mktemp("locked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        dvc("init", "-q", "--no-scm")
        Path("dvc.yaml").write_text(PIPELINE)
        for name in ("code.txt", "other.txt"):
            Path(name).write_text("1")
        dvc("repro", "-q")
        for name in ("first.txt", "second.txt"):
            Path(name).unlink()
    return folder


def test_a_lock_of_this_code_passes_without_data(locked, monkeypatch):
    monkeypatch.chdir(locked)
    assert check_lock() == 2


@pytest.mark.parametrize(("changed", "stale"), [("code.txt", "first"), ("other.txt", "second")])
def test_the_stale_stage_is_named_with_the_command_that_mends_it(locked, monkeypatch, changed, stale):
    monkeypatch.chdir(locked)
    Path(changed).write_text("2")
    try:
        with pytest.raises(UserError, match=f"these parameters: {stale},") as caught:
            check_lock()
    finally:
        Path(changed).write_text("1")
    assert caught.value.remedy.startswith("make repro")


def test_a_broken_pipeline_is_no_stale_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dvc("init", "-q", "--no-scm")
    Path("dvc.yaml").write_text("stages: 3")
    with pytest.raises(UserError, match="--dry failed"):
        check_lock()


def test_names_are_read_from_every_kind_of_line():
    said = (
        "Stage 'a' didn't change, skipping\nRunning stage 'b@x-y':\n> python b.py\n"
        "ERROR: failed to reproduce stages: 'c@1', 'c@2' and 'd'\n"
    )
    assert stale_stages(said) == ["b@x-y", "c@1", "c@2", "d"]
    assert stale_stages("ERROR: failed to reproduce 'e@1': [Errno 2] No such file: 'data/f'\n") == ["e@1"]
