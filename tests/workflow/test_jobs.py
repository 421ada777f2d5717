"""Several stages at a time: what runs, in which order, and that it ends as `dvc repro` does."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lung_attention.errors import UserError
from lung_attention.workflow import jobs
from lung_attention.workflow.jobs import (
    in_order,
    is_chain,
    pending_stages,
    reproduce_in_parallel,
    touched_stages,
)

# Each of the first two stages ends only once the other has begun.
MEET = """
import sys, time
from pathlib import Path
mine, other = sys.argv[1:]
Path(f"{mine}.begun").touch()
for _ in range(600):
    if Path(f"{other}.begun").exists():
        break
    time.sleep(0.1)
else:
    sys.exit(f"{other} never began")
Path(mine).write_text(mine)
print("I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on.", file=sys.stderr)
print("E0000 00:00:1.2 3 op.cc:7] no memory", file=sys.stderr)
print(mine, "done")
"""
PIPELINE = """
stages:
  a:
    cmd: python meet.py a b
    outs: [a]
  b:
    cmd: python meet.py b a
    outs: [b]
  both:
    cmd: cat a b extra > both
    deps: [a, b, extra]
    outs: [both]
"""


def dependencies(draw_edges, stages):
    """A graph without circles: each stage depends on earlier ones."""
    return {
        f"s{number}": [f"s{other}" for other in sorted(edges) if other < number]
        for number, edges in zip(range(stages), draw_edges, strict=True)
    }


@given(
    st.lists(st.sets(st.integers(0, 7)), min_size=8, max_size=8),
    st.sets(st.integers(0, 7).map(lambda number: f"s{number}")),
)
def test_what_changed_and_what_follows_is_run_each_after_what_it_needs(edges, changed):
    needs = dependencies(edges, 8)
    expected = set(changed)
    for stage, needed in needs.items():  # in order, so that one pass reaches everything
        if expected & set(needed):
            expected.add(stage)
    pending = touched_stages(needs, changed)
    assert set(pending) == expected

    begun, over = [], []

    def start(stage):
        assert set(needs[stage]) & expected <= set(over)
        assert len(begun) - len(over) < 2
        begun.append(stage)
        return Ended(0, then=lambda: over.append(stage))

    assert in_order(pending, 2, start) == dict.fromkeys(expected, 0)
    assert sorted(begun) == sorted(over) == sorted(expected)


class Ended:
    """A process that has ended already, as far as anybody can see."""

    def __init__(self, code, then=lambda: None):
        self.exitcode, self._then = code, then
        self.sentinel, other = os.pipe()
        os.close(other)

    def join(self, timeout=None):
        os.close(self.sentinel)
        self._then()


def test_nothing_follows_a_failure():
    pending = {"a": [], "b": [], "after a": ["a"], "after b": ["b"]}
    assert in_order(pending, 2, lambda stage: Ended(int(stage == "a"))) == {"a": 1, "b": 0}


def test_after_a_failure_nothing_more_begins_and_what_runs_is_waited_for():
    pending, ended = dict.fromkeys("abc", ()), []

    def start(stage):
        if stage == "b":
            raise KeyboardInterrupt
        return Ended(0, then=lambda: ended.append(stage))

    with pytest.raises(KeyboardInterrupt):
        in_order(pending, 3, start)
    assert ended == ["a"]


def test_a_process_that_was_not_reached_by_ctrl_c_does_not_hold_up_the_end(monkeypatch):
    monkeypatch.setattr(jobs, "_PATIENCE_SECONDS", 0.2)
    started = []

    def start(stage):
        if started:
            raise KeyboardInterrupt
        started.append(multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,)))
        started[0].start()
        return started[0]

    with pytest.raises(KeyboardInterrupt):
        in_order(dict.fromkeys("ab", ()), 2, start)
    started[0].join(10)
    assert started[0].exitcode == -signal.SIGTERM


def test_a_killed_process_ends_the_run_with_the_names_of_its_stages(monkeypatch, tmp_path):
    monkeypatch.setattr(jobs, "_reproduce", killed_at_once)
    with pytest.raises(UserError, match="killed, perhaps for want of memory: a, b") as caught:
        jobs._run_pending({"a": [], "b": [], "c": ["b"]}, 2, multiprocessing.get_context("fork"))
    assert caught.value.remedy == "make repro JOBS=1"


def killed_at_once(stage, written, environment):
    os.kill(os.getpid(), signal.SIGKILL)


def test_stages_that_wait_for_each_other_are_a_chain():
    assert is_chain({})
    assert is_chain({"compare": []})
    assert is_chain({"report": ["compare", "evaluate"], "compare": ["evaluate"], "evaluate": []})
    assert not is_chain({"a": [], "b": []})
    assert not is_chain({"a": [], "b": ["a"], "c": ["a"]})


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setattr(jobs, "end_server", lambda: None)  # it serves the next test
    Path("dvc.yaml").write_text(PIPELINE)
    Path("meet.py").write_text(MEET)
    Path("extra").write_text("!")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q", "--no-scm"], check=True)


def test_stages_run_side_by_side_and_the_rest_follows(pipeline, capfd):
    assert pending_stages() == {"a": [], "b": [], "both": ["a", "b"]}
    reproduce_in_parallel(2)
    assert Path("both").read_text() == "ab!"
    printed = capfd.readouterr().out
    assert {"a done", "b done", "E0000 00:00:1.2 3 op.cc:7] no memory"} <= set(printed.splitlines())
    assert "oneDNN" not in printed  # TensorFlow's notices are left out, its errors are not
    assert "Data and pipelines are up to date." in printed

    assert pending_stages() == {}
    Path("extra").write_text("?")
    assert pending_stages() == {"both": []}
    reproduce_in_parallel(2)
    assert Path("both").read_text() == "ab?"


def test_a_pipeline_that_cannot_be_read_is_left_to_dvc(pipeline, capfd):
    Path("dvc.yaml").write_text("stages: [")
    with pytest.raises(UserError, match="the last lines above say why"):
        reproduce_in_parallel(2)
    assert "dvc.yaml" in capfd.readouterr().err


def test_a_failed_stage_is_named_once_all_have_ended(pipeline, capfd):
    Path("meet.py").write_text(
        MEET.replace('print(mine, "done")', 'sys.exit("no room" if mine == "a" else 0)')
    )
    with pytest.raises(UserError, match="failed: a; the lines above say why"):
        reproduce_in_parallel(2)
    assert "no room" in capfd.readouterr().out
    assert not Path("both").exists()
    assert "b:" in Path("dvc.lock").read_text()


def test_a_disk_that_a_stage_has_filled_is_told_at_the_end(pipeline, monkeypatch):
    """Whatever the lines of its libraries say."""
    Path("meet.py").write_text(
        MEET.replace('print(mine, "done")', 'sys.exit("deep inside" if mine == "a" else 0)')
    )
    free = iter([10**12])
    monkeypatch.setattr(
        "lung_attention.writing.shutil.disk_usage", lambda _: SimpleNamespace(free=next(free, 0))
    )
    with pytest.raises(UserError, match=r"failed: a; .* 0\.0 GB are free on this disk") as caught:
        reproduce_in_parallel(2)
    assert "free some space" in caught.value.remedy
    assert "make repro goes on there" in caught.value.remedy


def test_code_that_comes_to_the_same_lets_all_that_follows_be(pipeline, capfd):
    """Each stage follows `code`; which of them are stale is known once it has run."""
    Path("dvc.yaml").write_text(
        PIPELINE.replace("    outs: [a]", "    deps: [hashes]\n    outs: [a]").replace(
            "stages:\n",
            "stages:\n  code:\n    cmd: sort words > hashes\n    deps: [words]\n    outs: [hashes]\n",
        )
    )
    Path("words").write_text("one\ntwo\n")
    reproduce_in_parallel(2)
    assert Path("both").read_text() == "ab!"
    capfd.readouterr()
    Path("words").write_text("two\none\n")
    reproduce_in_parallel(2)
    printed = capfd.readouterr().out.splitlines()
    assert [line for line in printed if line.startswith("Running stage")] == ["Running stage 'code':"]
    assert printed.count("Stage 'both' didn't change, skipping") == 1
