"""The dead and the living: whose run may be marked FAILED."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from lung_attention.tracking import live_run, processes, runs
from lung_attention.tracking.processes import fail_abandoned, is_alive, process_tags


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def tags_of(pid):
    where, _, _ = process_tags()["process"].partition(" ")
    return {"process": f"{where} {pid} {processes._started(pid)}"}


@pytest.fixture
def open_run(client, identity):
    """Makes an open run with some tags."""

    def make(tags, **fields):
        run = runs.create(client, replace(identity, **fields), {}, tags)
        return client.get_run(run.info.run_id)

    return make


def test_a_process_of_this_machine_is_looked_up(client, open_run, sleeper):
    run = open_run(tags_of(sleeper.pid))
    assert is_alive(client, run)
    sleeper.kill()
    # Not yet waited for, it is still in the table of processes.
    deadline = time.monotonic() + 10
    while is_alive(client, run) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(client, run)
    sleeper.wait()
    assert not is_alive(client, run)


def test_another_process_with_the_same_number_is_another_one(client, open_run, sleeper):
    where, pid, began = tags_of(sleeper.pid)["process"].split(" ")
    assert not is_alive(client, open_run({"process": f"{where} {pid} {float(began) - 3600}"}))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process's start is told by the clock alone")
def test_setting_the_clock_makes_no_process_another_one(client, open_run, sleeper, monkeypatch):
    run, own = open_run(tags_of(sleeper.pid)), process_tags()
    began, now = psutil.boot_time(), time.time()
    # What the system and libraries say once the clock was set back by a day.
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: began - 86_400)
    monkeypatch.setattr("psutil.boot_time", lambda: began - 86_400)
    monkeypatch.setattr("lung_attention.tracking.processes.time.time", lambda: now - 86_400)
    assert is_alive(client, run)
    assert process_tags() == own


@pytest.mark.parametrize("set_by", [-86_400, -1000, -1, 0, 600])
def test_a_run_of_elsewhere_is_not_called_dead_by_a_clock_set_back(client, open_run, monkeypatch, set_by):
    run = open_run({"process": "elsewhere 1 1"})
    now = time.time()
    monkeypatch.setattr("lung_attention.tracking.processes.time.time", lambda: now + set_by)
    assert is_alive(client, run)


def test_a_process_may_have_any_name(tmp_path, sleeper):
    name = tmp_path / "a) Z 1 (b"
    shutil.copy(shutil.which("sleep"), name)
    with subprocess.Popen([name, "60"]) as process:
        assert processes._started(process.pid) == pytest.approx(processes._started(sleeper.pid), abs=60)
        process.kill()


@pytest.mark.parametrize("tag", ["", "words", "one two", "one two three four"])
def test_a_tag_that_says_nothing_leaves_it_to_the_metrics(client, open_run, tag, monkeypatch):
    run = open_run({"process": tag})
    assert is_alive(client, run)
    now = time.time()
    monkeypatch.setattr("lung_attention.tracking.processes.time.time", lambda: now + 3600)
    assert not is_alive(client, run)


def test_after_a_restart_of_the_machine_its_processes_are_not_looked_up(client, open_run, sleeper):
    where, pid, started = tags_of(sleeper.pid)["process"].split(" ")
    name, boot, space = where.split("/")
    run = open_run({"process": f"{name}/{boot[::-1]}/{space} {pid} {started}"})
    assert is_alive(client, run)  # it may be a machine of the same name
    sleeper.kill()
    sleeper.wait()
    assert is_alive(client, run)


def test_system_metrics_that_come_from_elsewhere_are_a_sign_of_life(client, open_run, monkeypatch):
    run = open_run({"process": "elsewhere 1 1"})
    later = time.time() + 3600
    monkeypatch.setattr("lung_attention.tracking.processes.time.time", lambda: later)
    assert not is_alive(client, run)
    measured = int(later * 1000) - 60_000
    client.log_metric(run.info.run_id, "system/cpu_utilization_percentage", 1.0, timestamp=measured)
    assert is_alive(client, client.get_run(run.info.run_id))


def test_a_trial_that_ended_elsewhere_is_a_sign_of_life_of_its_study(client, open_run, monkeypatch):
    study = open_run({"process": "elsewhere 1 1", "kind": "study"})
    tags = {"kind": "trial", "mlflow.parentRunId": study.info.run_id}
    trial = client.create_run(study.info.experiment_id, tags=tags)
    later = time.time() + 3600
    monkeypatch.setattr("lung_attention.tracking.processes.time.time", lambda: later)
    assert not is_alive(client, study)
    client.set_terminated(trial.info.run_id, "FINISHED", end_time=int(later * 1000) - 60_000)
    assert is_alive(client, study)


def test_a_training_that_ends_well_while_its_run_is_looked_at_stays_finished(
    client, open_run, sleeper, monkeypatch
):
    ending = open_run(tags_of(sleeper.pid))

    def look(client, run):
        client.set_terminated(run.info.run_id, "FINISHED")  # the last that the process does
        sleeper.kill()
        sleeper.wait()
        return is_alive(client, run)

    monkeypatch.setattr(processes, "is_alive", look)
    assert fail_abandoned(client, ending.info.experiment_id) == []
    assert client.get_run(ending.info.run_id).info.status == "FINISHED"


def test_abandoned_runs_of_any_inputs_are_marked_with_their_fits(client, identity, open_run, sleeper):
    dead = open_run(tags_of(2**22 + 1), inputs="dead" * 16)
    dead_fits = [runs.create_fit(client, dead, (0, fold)) for fold in (0, 1)]
    client.set_terminated(dead_fits[0], "FINISHED")
    living = open_run(tags_of(sleeper.pid), inputs="cafe" * 16)
    living_fit = runs.create_fit(client, living, (0, 0))
    ended = open_run(tags_of(os.getpid()))
    left_fit = runs.create_fit(client, ended, (0, 0))
    client.set_terminated(ended.info.run_id, "FINISHED")
    dead_study = client.create_run(dead.info.experiment_id, tags={"kind": "study", **tags_of(2**22 + 1)})
    living_study = client.create_run(dead.info.experiment_id, tags={"kind": "study", **tags_of(sleeper.pid)})
    foreign = client.create_run(dead.info.experiment_id, tags={"kind": "other", "process": "words"})
    plain = client.create_run(dead.info.experiment_id)

    with live_run(identity, {}, device="cpu") as own:
        marked = fail_abandoned(client, dead.info.experiment_id)
        assert client.get_run(own.run_id).info.status == "RUNNING"
    assert marked == []  # beginning the run had done it
    status = {run.info.run_id: run.info.status for run in client.search_runs([dead.info.experiment_id])}
    assert [status[run_id] for run_id in (dead.info.run_id, *dead_fits)] == ["FAILED", "FINISHED", "FAILED"]
    assert [status[living.info.run_id], status[living_fit]] == ["RUNNING", "RUNNING"]
    assert [status[ended.info.run_id], status[left_fit]] == ["FINISHED", "FAILED"]
    assert [status[run.info.run_id] for run in (dead_study, living_study)] == ["FAILED", "RUNNING"]
    assert [status[run.info.run_id] for run in (foreign, plain)] == ["RUNNING", "RUNNING"]
