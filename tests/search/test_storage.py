"""Studies in a database: workers that die, workers that share a study, addresses that are wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import optuna
import pytest
from bowl import FIRST, NAME, assert_nothing_lost_or_doubled, ended, opened, study_of
from optuna.trial import TrialState

from lung_attention.errors import UserError
from lung_attention.search.address import STORAGE_VARIABLE, storage_address
from lung_attention.search.sampler import RETRY_OF
from lung_attention.search.study import was_cut_off


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "a.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request, file):
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{file}"
    return request.getfixturevalue("postgres").new_database()


def trial_begun(worker):
    """Waits for a worker's next trial and returns its number."""
    for line in worker.stdout:
        if line.startswith("trial"):
            return int(line.split()[1])
    raise AssertionError("ended without a trial")


def kill(worker):
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()


def test_a_study_killed_again_and_again_ends_with_all_its_trials(file, start_worker):
    killed = []
    for begun in (1, 4, 1):  # the first trial, which has the default settings, among them
        worker = start_worker(f"sqlite:///{file}", trials=10, pause_s=0.5)
        killed.append([trial_begun(worker) for _ in range(begun)][-1])
        kill(worker)
    study = study_of(opened(file), trials=10)
    assert_nothing_lost_or_doubled(study, 10)
    assert [trial.number for trial in study.trials if was_cut_off(trial)] == killed
    assert dict(ended(study)[0][2]) == FIRST


def test_workers_share_a_study_and_outlive_one_that_is_killed(address, start_worker):
    workers = [start_worker(address, trials=12, pause_s=0.5) for _ in range(3)]
    victim = workers.pop()
    killed = trial_begun(victim)
    kill(victim)
    for worker in workers:
        assert worker.wait(timeout=180) == 0, worker.stdout.read()
        assert worker.stdout.read().count("trial") > 1
    study = optuna.load_study(study_name=NAME, storage=opened(address))
    assert_nothing_lost_or_doubled(study, 12)
    assert [trial.number for trial in study.trials if trial.system_attrs.get(RETRY_OF) == killed]


def test_a_trial_of_a_living_worker_is_left_alone(file, start_worker):
    worker = start_worker(f"sqlite:///{file}", trials=2, pause_s=5)  # longer than the grace period
    trial_begun(worker)
    study = study_of(opened(file), trials=2)
    assert worker.wait(timeout=60) == 0
    assert_nothing_lost_or_doubled(study, 2)
    assert len(study.trials) == 2


@pytest.mark.filterwarnings("ignore:Heartbeat of storage")
def test_a_trial_without_any_sign_of_life_is_run_again(file):
    """Its worker died as soon as it had made it."""
    study_of(opened(file), trials=2).ask()
    study = study_of(opened(file), trials=4)
    assert_nothing_lost_or_doubled(study, 4)
    assert study.trials[2].state == TrialState.FAIL


@pytest.mark.parametrize("step", [0, 3])
def test_a_worker_whose_trial_was_taken_over_goes_on_with_another(file, step):
    """It was silent for too long: asleep, or cut off from the network."""
    storage = opened(file)

    def objective(trial):
        x = trial.suggest_float("x", -5, 5)
        for now in range(4):
            if (trial.number, now) == (2, step):
                storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
                storage.get_heartbeat_stale_trial_callback()(trial.study, trial.study.trials[2])
                if step == 3:
                    break
            trial.report(0.0, now)
        return x

    study = study_of(storage, trials=5, objective=objective)
    assert_nothing_lost_or_doubled(study, 5)
    assert [trial.system_attrs.get(RETRY_OF) for trial in study.trials] == [None] * 3 + [2, None, None]


@pytest.mark.parametrize(
    "address",
    [
        "postgresql+psycopg2://me:secret@127.0.0.1:9/none",
        "nosuch://me:secret@127.0.0.1:9/none",
        "postgresql://me:secret@127.0.0.1:port/none",
    ],
)
def test_a_database_that_cannot_be_opened_is_named_without_its_password(address):
    with pytest.raises(UserError, match=r"127\.0\.0\.1:") as caught:
        opened(address)
    assert "make search" in caught.value.remedy
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None, "it would repeat the address"


def test_a_journal_of_old_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(STORAGE_VARIABLE, "studies/a.journal")
    with pytest.raises(UserError, match=r"received 'studies/a\.journal'") as caught:
        storage_address(None, tmp_path)
    assert caught.value.remedy == "make search … STORAGE=sqlite:///studies/a.db"
    journal = tmp_path / "a.journal"
    journal.write_text('{"op_code": 0}\n' * 50)
    with pytest.raises(UserError, match=r"a\.journal cannot be opened"):
        opened(journal)


def test_option_precedes_environment_precedes_the_file(tmp_path, monkeypatch):
    monkeypatch.delenv(STORAGE_VARIABLE, raising=False)
    assert storage_address("", tmp_path / "a.db") == f"sqlite:///{tmp_path}/a.db"
    monkeypatch.setenv(STORAGE_VARIABLE, "mysql://b")
    assert storage_address(None, tmp_path / "a.db") == "mysql://b"
    assert storage_address("mysql://c", tmp_path / "a.db") == "mysql://c"


def test_the_command_that_starts_a_search_imports_no_optuna():
    code = "import sys, lung_attention.search.launch; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
