"""A dvc.lock that was cut off anywhere is whole again, and no finished stage is lost."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_attention.errors import UserError
from lung_attention.workflow.lock import guarded_lock, keep, mend, mend_notes

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "dvc.lock").read_text(encoding="utf-8")
STAGES = yaml.load(TEXT, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
# A small one for what is tried hundreds of times.
SHORT = "".join(TEXT.partition("  group@")[0])
SHORT_STAGES = yaml.safe_load(SHORT)["stages"]


def stages_of(root):
    return yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))["stages"]


def test_a_whole_lock_is_left_alone(tmp_path):
    (tmp_path / "dvc.lock").write_text(TEXT, encoding="utf-8")
    keep(tmp_path)
    for was_killed in (False, True):
        assert not mend(tmp_path, was_killed=was_killed)
    assert (tmp_path / "dvc.lock").read_text(encoding="utf-8") == TEXT


def test_without_a_lock_there_is_nothing_to_mend(tmp_path):
    assert not mend(tmp_path, was_killed=True)
    assert not (tmp_path / "dvc.lock").exists()


@settings(max_examples=150, deadline=None)
@given(length=st.integers(0, len(SHORT) - 1))
def test_wherever_it_is_cut_off_it_is_whole_again(tmp_path_factory, length):
    root = tmp_path_factory.mktemp("cut")
    (root / "dvc.lock").write_text(SHORT, encoding="utf-8")
    keep(root)
    (root / "dvc.lock").write_text(SHORT[:length], encoding="utf-8")
    assert mend(root, was_killed=True)
    assert stages_of(root) == SHORT_STAGES


def test_a_cut_in_the_middle_of_an_entry_is_mended_without_knowing_of_a_kill(tmp_path):
    (tmp_path / "dvc.lock").write_text(TEXT, encoding="utf-8")
    keep(tmp_path)
    (tmp_path / "dvc.lock").write_text(TEXT[: len(TEXT) // 2], encoding="utf-8")
    assert mend(tmp_path, was_killed=False)
    assert stages_of(tmp_path) == STAGES


def test_what_was_finished_since_stays(tmp_path):
    """Killed after a stage was written whole and before it was kept."""
    older = SHORT.replace("1446ff27649993a1fcc586893156caf2", "0" * 32)
    (tmp_path / "dvc.lock").write_text(older, encoding="utf-8")
    keep(tmp_path)
    cut = SHORT.index("  download@lidc:")
    (tmp_path / "dvc.lock").write_text(SHORT[:cut], encoding="utf-8")
    assert mend(tmp_path, was_killed=True)
    found = stages_of(tmp_path)
    assert found["download@iqoth"] == SHORT_STAGES["download@iqoth"]
    assert set(found) == set(SHORT_STAGES)


def test_a_lock_that_is_being_written_is_not_kept(tmp_path):
    (tmp_path / "dvc.lock").write_text(SHORT, encoding="utf-8")
    keep(tmp_path)
    for part in (SHORT[:-200], SHORT[: SHORT.index("  download@lidc:")], ""):
        (tmp_path / "dvc.lock").write_text(part, encoding="utf-8")
        keep(tmp_path)
        assert mend(tmp_path, was_killed=True)
        assert stages_of(tmp_path) == SHORT_STAGES


def test_stages_that_somebody_removed_stay_away(tmp_path):
    (tmp_path / "dvc.lock").write_text(SHORT, encoding="utf-8")
    with guarded_lock(tmp_path):
        pass
    fewer = SHORT[: SHORT.index("  download@lidc:")]
    (tmp_path / "dvc.lock").write_text(fewer, encoding="utf-8")
    with guarded_lock(tmp_path):
        pass
    assert (tmp_path / "dvc.lock").read_text(encoding="utf-8") == fewer


def test_the_run_after_a_kill_says_what_it_mended(tmp_path, capsys):
    (tmp_path / "dvc.lock").write_text(SHORT, encoding="utf-8")
    with pytest.raises(KeyboardInterrupt), guarded_lock(tmp_path):
        (tmp_path / "dvc.lock").write_text(SHORT[: SHORT.index("  download@lidc:")], encoding="utf-8")
        raise KeyboardInterrupt
    assert capsys.readouterr().out == ""
    with guarded_lock(tmp_path):
        assert stages_of(tmp_path) == SHORT_STAGES
    assert "its last whole state is back" in capsys.readouterr().out


def test_a_second_run_says_that_there_is_a_first(tmp_path):
    (tmp_path / "dvc.lock").write_text(SHORT, encoding="utf-8")
    told = []

    def second():
        try:
            with guarded_lock(tmp_path):
                told.append("ran")
        except UserError as error:
            told.append(error.problem)

    with guarded_lock(tmp_path):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert told == ["another make repro works in this checkout"]


@pytest.mark.parametrize("place", [".dvc/tmp/rwlock", ".dvc/tmp/exps/rwlock"])
@pytest.mark.parametrize("left", ["", '{"write": {', '{"write": {}, "read": {"/a": [{"pid": 1'])
def test_what_a_kill_left_of_dvcs_notes_goes(tmp_path, place, left):
    notes = tmp_path / place
    notes.parent.mkdir(parents=True)
    notes.write_text(left)
    mend_notes(tmp_path)
    assert not notes.exists()


def noted(tmp_path, pid):
    path = tmp_path / ".dvc" / "tmp" / "rwlock"
    path.parent.mkdir(parents=True)
    info = {"pid": pid, "cmd": "dvc repro"}
    path.write_text(json.dumps({"write": {"/a": info}, "read": {"/b": [info]}} if pid else {"read": {}}))
    return path


# Every worker of the tests has a number of its own, so it must not name a test.
@pytest.mark.parametrize("pid", [None, pytest.param(os.getpid(), id="ours")])
def test_whole_notes_of_processes_that_work_stay(tmp_path, pid):
    notes = noted(tmp_path, pid)
    text = notes.read_text()
    mend_notes(tmp_path)
    assert notes.read_text() == text


def test_notes_of_a_dead_process_that_nobody_waits_for_go(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    notes = noted(tmp_path, child.pid)
    mend_notes(tmp_path)
    assert not notes.exists()
    child.wait()


def test_notes_that_are_older_than_the_process_of_their_number_go(tmp_path):
    notes = noted(tmp_path, os.getpid())
    os.utime(notes, (1e9, 1e9))
    mend_notes(tmp_path)
    assert not notes.exists()


def test_notes_that_are_just_being_written_are_waited_for(tmp_path):
    notes = tmp_path / ".dvc" / "tmp" / "rwlock"
    notes.parent.mkdir(parents=True)
    program = f"""
import time
from dvc.lock import make_lock
with make_lock({f"{notes}.lock"!r}):
    open({str(notes)!r}, "w").close()
    print("empty", flush=True)
    time.sleep(1)
    with open({str(notes)!r}, "w") as file:
        file.write("{{}}")
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "empty\n"
        mend_notes(tmp_path)
    assert notes.read_text() == "{}"


def test_a_run_after_a_kill_mends_them(tmp_path):
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    (tmp_path / ".dvc" / "tmp" / "rwlock").touch()
    with guarded_lock(tmp_path):
        assert not (tmp_path / ".dvc" / "tmp" / "rwlock").exists()
