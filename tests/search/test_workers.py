"""Workers that die: in a journal, in the middle of a line, many at once on a real database."""

from __future__ import annotations

import os
import signal
import time

import optuna
import pytest
from bowl import NAME, STEPS, assert_nothing_lost_or_doubled, planned, study_of
from optuna.trial import TrialState

from lung_attention.errors import UserError
from lung_attention.search.repetitions import WORKER, queue_again
from lung_attention.search.workers import JournalLock, open_workers

ACROSS = {"heartbeat_s": 1, "grace_s": 4}


def wait_for(process, text):
    for line in process.stdout:
        if line.startswith(text):
            return
    raise AssertionError(f"ended without {text!r}")


def test_a_study_killed_again_and_again_ends_as_one_never_killed(tmp_path, start_worker):
    journal = tmp_path / "killed.journal"
    for number, delay_s in enumerate((0.02, 0.13, 0.31)):
        worker = start_worker(journal, trials=14, pause_s=0.2)
        wait_for(worker, "open" if number == 0 else "trial")
        time.sleep(delay_s)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    with open_workers(journal, **ACROSS) as workers:
        study = study_of(workers, trials=14)
    with open_workers(tmp_path / "whole.journal", **ACROSS) as workers:
        whole = study_of(workers, trials=14)
    assert_nothing_lost_or_doubled(study, 14)
    assert len(study.trials) > 14, "no kill hit a trial"
    assert planned(study) == planned(whole)
    assert study.best_params == whole.best_params


@pytest.mark.parametrize("when", ["signed", "unsigned", "failed"])
def test_a_worker_may_die_at_any_point_of_a_trial(tmp_path, when):
    """As a dead worker leaves the journal: a trial it signed or had no time to, or failed but not queued."""
    journal = tmp_path / "a.journal"
    with open_workers(journal, **ACROSS) as workers:
        study = study_of(workers, trials=4)
        trial = study.ask()
        if when != "unsigned":
            trial.set_user_attr(WORKER, "dead-1-00")
            trial.suggest_float("x", -5, 5)
        if when == "failed":
            study.tell(trial.number, state=TrialState.FAIL)
    with open_workers(journal, **ACROSS) as workers:
        study = study_of(workers, trials=9)
    assert_nothing_lost_or_doubled(study, 9)
    assert study.trials[4].state == TrialState.FAIL
    again = [trial for trial in study.trials if trial.system_attrs.get("failed_trial") == 4]
    assert len(again) == 1
    assert again[0].params.items() >= study.trials[4].params.items()


def test_a_nameless_trial_is_given_up_although_others_live(tmp_path, monkeypatch):
    """Of three workers one died right after it made a trial; each of the others sees another one alive."""
    journal = tmp_path / "a.journal"
    with open_workers(journal, **ACROSS) as own, open_workers(journal, **ACROSS):
        study = study_of(own, trials=2)
        study.ask()
        own.requeue_lost(study)
        assert study.trials[2].state == TrialState.RUNNING
        monkeypatch.setattr("lung_attention.search.workers._SIGNING_SECONDS", 0.1)
        time.sleep(0.2)
        study = study_of(own, trials=4)
    assert_nothing_lost_or_doubled(study, 4)
    assert study.trials[2].state == TrialState.FAIL


def storages(tmp_path):
    return [tmp_path / "a.journal", f"sqlite:///{tmp_path}/a.db"]


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("after_report", [1, STEPS])
def test_a_worker_whose_trial_was_taken_over_goes_on_with_another(tmp_path, number, after_report):
    """It was silent for too long: asleep, or cut off from the network."""
    taken = []

    def objective(trial):
        value = 0.0
        trial.suggest_float("x", -5, 5)
        for step in range(STEPS):
            if trial.number == 2 and step == after_report - 1:
                trial.report(value, step)
                own.storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                taken.append(trial.number)
            else:
                trial.report(value, step)
        return value

    with open_workers(storages(tmp_path)[number], **ACROSS) as own:
        study = study_of(own, trials=5, objective=objective)
    assert taken == [2]
    assert_nothing_lost_or_doubled(study, 5)
    assert [trial.system_attrs.get("failed_trial") for trial in study.trials] == [None] * 3 + [2, None, None]


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_an_error_while_a_trial_is_run_is_no_takeover(tmp_path):
    def broken(trial):
        raise ValueError("Cannot tell")

    for address in storages(tmp_path):
        with open_workers(address, **ACROSS) as own, pytest.raises(ValueError, match="Cannot tell"):
            study_of(own, trials=3, objective=broken)


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_of_a_database_that_was_failed_but_not_queued_is_run_again(tmp_path):
    with open_workers(storages(tmp_path)[1], **ACROSS) as own:
        study = study_of(own, trials=2)
        trial = study.ask()
        trial.set_user_attr(WORKER, "dead-1-00")
        trial.suggest_float("x", -5, 5)
        study.tell(trial.number, state=TrialState.FAIL)
        study = study_of(own, trials=4)
    assert_nothing_lost_or_doubled(study, 4)
    (again,) = [trial for trial in study.trials if trial.system_attrs.get("failed_trial") == 2]
    assert again.user_attrs[WORKER] == own.name


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_of_two_repetitions_of_a_trial_one_is_run(tmp_path):
    """Two workers of a database that find a lost trial at once both queue it."""
    with open_workers(storages(tmp_path)[1], **ACROSS) as own:
        study = study_of(own, trials=2)
        trial = study.ask()
        trial.suggest_float("x", -5, 5)
        study.tell(trial.number, state=TrialState.FAIL)
        lost = study.trials[2]
        queue_again(study, lost)
        queue_again(study, lost)
        study = study_of(own, trials=5)
    assert_nothing_lost_or_doubled(study, 5)
    again = [trial for trial in study.trials if trial.system_attrs.get("failed_trial") == 2]
    assert ["surplus" in trial.user_attrs for trial in again] == [False, True]


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_repetition_is_nameless_until_its_worker_takes_it_up(tmp_path):
    """Whoever died before its first sign of life would otherwise look alive for ever."""
    with open_workers(storages(tmp_path)[1], heartbeat_s=1, grace_s=1) as own:
        study = study_of(own, trials=1)
        trial = study.ask()
        trial.set_user_attr(WORKER, "dead-1-00")
        own.storage.record_heartbeat(trial._trial_id)
        time.sleep(2.5)
        own.requeue_lost(study)
    states = [(trial.state, trial.user_attrs.get(WORKER)) for trial in study.trials[1:]]
    assert states == [(TrialState.FAIL, "dead-1-00"), (TrialState.WAITING, None)]


def test_a_trial_of_a_living_worker_is_left_alone(tmp_path, start_worker):
    journal = tmp_path / "a.journal"
    worker = start_worker(journal, trials=3, pause_s=1.0)
    wait_for(worker, "open")
    time.sleep(0.5)
    with open_workers(journal, **ACROSS) as workers:
        study = study_of(workers, trials=3)
    worker.wait(timeout=60)
    assert_nothing_lost_or_doubled(study, 3)
    assert not [trial for trial in study.trials if "failed_trial" in trial.system_attrs]


def test_workers_of_one_journal_share_its_trials(tmp_path, start_worker):
    journal = tmp_path / "a.journal"
    workers = [start_worker(journal, trials=12, pause_s=0.1) for _ in range(2)]
    for worker in workers:
        assert worker.wait(timeout=120) == 0, worker.stdout.read()
    with open_workers(journal, **ACROSS) as own:
        study = optuna.load_study(study_name=NAME, storage=own.storage)
    assert_nothing_lost_or_doubled(study, 12)
    assert len({trial.user_attrs[WORKER] for trial in study.trials}) == 2


def test_a_line_that_was_not_written_to_its_end_is_dropped(tmp_path):
    journal = tmp_path / "a.journal"
    with open_workers(journal, **ACROSS) as workers:
        study_of(workers, trials=3)
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"worker_id":"x","stu')
    with open_workers(journal, **ACROSS) as workers:
        study = study_of(workers, trials=5)
    assert len(study.trials) == 5
    assert journal.read_bytes().startswith(whole + b"{")


@pytest.mark.parametrize("content", [b"", b"half", b"one\n", b"one\nhalf", b"one\n" + b"x" * 9000])
def test_only_the_half_line_is_dropped(tmp_path, content):
    path = tmp_path / "journal"
    path.write_bytes(content)
    lock = JournalLock(path)
    assert lock.acquire()
    lock.release()
    assert path.read_bytes() == (b"one\n" if content.startswith(b"one") else b"")


def test_a_database_that_is_not_there_is_named_without_its_password():
    with (
        pytest.raises(UserError) as caught,
        open_workers("postgresql+psycopg2://me:secret@127.0.0.1:9/none", **ACROSS),
    ):
        pass
    assert "127.0.0.1:9/none" in caught.value.problem
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None, "it would repeat the address"


def is_under_way(trial, pid):
    return trial.state == TrialState.RUNNING and f"-{pid}-" in trial.user_attrs.get(WORKER, "")


def test_many_workers_on_postgresql_of_which_one_is_killed(postgres, start_worker):
    address = postgres.new_database()
    workers = [start_worker(address, trials=15, pause_s=1.0) for _ in range(3)]
    victim = workers[1]
    wait_for(victim, "trial")
    with open_workers(address, **ACROSS) as own:
        study = optuna.load_study(study_name=NAME, storage=own.storage)
        while not [trial for trial in study.trials if is_under_way(trial, victim.pid)]:
            time.sleep(0.05)
        os.kill(victim.pid, signal.SIGKILL)
    for worker in (workers[0], workers[2]):
        assert worker.wait(timeout=180) == 0, worker.stdout.read()
    with open_workers(address, **ACROSS) as own:
        study = optuna.load_study(study_name=NAME, storage=own.storage)
        assert_nothing_lost_or_doubled(study, 15)
        signed = {trial.user_attrs.get(WORKER) for trial in study.trials}
        assert len(signed - {None}) >= 3
        again = [trial for trial in study.trials if "failed_trial" in trial.system_attrs]
        assert again, "the kill hit no trial"


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_an_unsigned_trial_without_a_sign_of_life_is_run_again(postgres):
    """Its worker died before Optuna's heartbeat began."""
    with open_workers(postgres.new_database(), heartbeat_s=1, grace_s=1) as workers:
        study = study_of(workers, trials=2)
        study.ask()
        time.sleep(2.5)
        study = study_of(workers, trials=4)
        assert_nothing_lost_or_doubled(study, 4)
        assert study.trials[2].state == TrialState.FAIL
