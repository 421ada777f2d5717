"""A dvc.lock that was cut off anywhere is whole again, and no finished stage is lost."""

import threading
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lung_attention.errors import UserError
from lung_attention.workflow.lock import guarded_lock, keep, mend

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
