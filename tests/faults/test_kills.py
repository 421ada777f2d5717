"""A handful of the kills of `make faults`, of stages without TensorFlow on the embedded sample."""

import random
import signal
import sys
import time

import pytest

from faults.killing import kill_at
from faults.kills import KINDS, Undisturbed, _rounds, ending, kill_all

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "workspace"
    return Undisturbed(folder, ["download@iqoth", "group@iqoth", "split@iqoth-grouped"])


def test_what_was_killed_ends_well_and_alike(whole):
    found = kill_all(
        whole, 5, seed=1, deadline=time.monotonic() + 300, kinds={"a stage without TensorFlow": 1.0}
    )
    assert 1 <= sum(found.counts.values()) <= 5  # some come when a stage has just ended
    assert found.fell == []


def test_what_is_half_written_or_left_behind_is_seen(whole):
    split = whole.outs("split@iqoth-grouped")[0]
    good = split.read_bytes()
    split.write_bytes(good[:-1])
    (split.parent / ".unfinished-1-2-x.csv").write_text("x")
    found = list(whole.differences())
    split.write_bytes(good)
    (split.parent / ".unfinished-1-2-x.csv").unlink()
    assert sorted(line.partition(":")[0] for line in found) == ["left behind", "other content"]
    assert not list(whole.differences())


def test_the_workspace_has_no_aliases_in_which_dvc_loses_settings(whole):
    text = (whole.folder / "params.yaml").read_text()
    assert "*id" not in text and "&id" not in text


@pytest.mark.parametrize("seed", range(5))
def test_a_run_that_time_cuts_short_has_killed_some_of_each_kind(seed):
    assert sum(KINDS.values()) == pytest.approx(1)
    planned = list(_rounds(200, KINDS, random.Random(seed)))
    assert sum(number for _, number in planned) == 200
    counts = dict.fromkeys(KINDS, 0)
    for kind, number in planned:
        counts[kind] += number
        if (so_far := sum(counts.values())) >= 60:
            assert all(counts[name] >= 0.4 * KINDS[name] * so_far for name in KINDS)


def test_how_a_command_ended_that_was_not_hit(tmp_path):
    command = [sys.executable, "-c", "import sys; sys.exit(3)"]
    killed = kill_at(
        tmp_path, command, who="parent", sent=signal.SIGTERM, chance=random.Random(0),
        is_time=lambda ran: ran > 60,
    )  # fmt: skip
    assert (killed.hit, killed.code) == (False, 3)


@pytest.mark.parametrize("who", ["group", "parent"])
def test_a_process_that_goes_on_is_seen_and_ended(tmp_path, who):
    child = "import time; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}]); {child}"
    killed = kill_at(
        tmp_path, [sys.executable, "-c", code], who=who, sent=signal.SIGKILL, chance=random.Random(0),
        is_time=lambda ran: ran > 0.5, patience_s=1,
    )  # fmt: skip
    assert killed.hit
    assert len(killed.survivors) == (who == "parent")


def test_an_interrupt_arrives_although_whoever_runs_the_suite_ignores_it(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        killed = kill_at(
            tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"], who="parent", sent=signal.SIGINT,
            chance=random.Random(0), is_time=lambda ran: ran > 0.5, patience_s=5,
        )  # fmt: skip
    finally:
        signal.signal(signal.SIGINT, before)
    assert killed.hit and killed.survivors == []


def test_what_a_command_said_at_its_end_is_one_line_without_places_of_this_machine(tmp_path):
    said = f"first\n{sys.prefix}/bin/dvc repro\n\n  remove '{tmp_path}/.dvc/tmp/rwlock'\n"
    assert ending(said, tmp_path) == "first …/bin/dvc repro remove './.dvc/tmp/rwlock'"
