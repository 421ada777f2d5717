"""A study in one process: its trials, its order, its limits."""

from __future__ import annotations

import datetime
import math

import optuna
import pytest
from bowl import FIRST, assert_nothing_lost_or_doubled, bowl, planned, study_of
from optuna.trial import TrialState

from lung_attention.search.repetitions import ERROR
from lung_attention.search.study import seconds_spent
from lung_attention.search.workers import open_workers


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "a.journal"


def run(journal, **options):
    with open_workers(journal, heartbeat_s=1, grace_s=3) as workers:
        return study_of(workers, **options)


def test_a_study_has_its_trials_and_some_are_pruned(journal):
    study = run(journal, trials=20)
    assert_nothing_lost_or_doubled(study, 20)
    states = [trial.state for trial in study.trials]
    assert TrialState.PRUNED in states
    assert states.count(TrialState.COMPLETE) > 3


def test_the_first_trial_has_the_given_parameters(journal):
    study = run(journal, trials=2)
    assert study.trials[0].params == FIRST
    assert study.trials[1].params["x"] != FIRST["x"]


def test_equal_seeds_give_equal_studies(tmp_path):
    first, second = run(tmp_path / "1", trials=15), run(tmp_path / "2", trials=15)
    assert planned(first) == planned(second)
    assert first.best_params == second.best_params


def test_what_is_learned_beats_what_is_drawn_at_random(journal):
    study = run(journal, trials=40)
    values = [(trial.params["x"] - 1) ** 2 for trial in study.trials]
    assert sum(values[25:]) / 15 < sum(values[1:6]) / 5


def test_more_trials_later_are_the_trials_of_one_longer_study(tmp_path):
    run(tmp_path / "1", trials=8)
    assert planned(run(tmp_path / "1", trials=16)) == planned(run(tmp_path / "2", trials=16))


def test_a_study_that_is_complete_runs_nothing(journal):
    run(journal, trials=5)

    def never(trial):
        raise AssertionError("ran")

    assert len(run(journal, trials=5, objective=never).trials) == 5


def test_the_time_budget_ends_a_study_and_counts_what_earlier_processes_spent(journal):
    slow = {"objective": lambda trial: bowl(trial, 0.1), "time_budget_s": 0.35}
    study = run(journal, trials=1000, **slow)
    done = len(study.trials)
    assert 2 <= done <= 8
    assert len(run(journal, trials=1000, **slow).trials) == done


def test_the_time_that_a_dead_worker_lay_dead_is_not_spent():
    now = datetime.datetime(2026, 1, 1)

    def ended(state, seconds, **attributes):
        trial = optuna.create_trial(
            state=state, value=1.0 if state == TrialState.COMPLETE else None, user_attrs=attributes
        )
        trial.datetime_start, trial.datetime_complete = now, now + datetime.timedelta(seconds=seconds)
        return trial

    trials = [
        ended(TrialState.COMPLETE, 10),
        ended(TrialState.FAIL, 9000, worker="dead-1-00"),
        ended(TrialState.FAIL, 5, error="out of memory"),
    ]
    assert seconds_spent(trials) == 15


def test_ctrl_c_leaves_a_trial_that_is_run_again(tmp_path):
    calls = 0

    def interrupted(trial):
        nonlocal calls
        calls += 1
        if calls == 7:
            trial.suggest_float("x", -5, 5)
            raise KeyboardInterrupt
        return bowl(trial)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "1", trials=12, objective=interrupted)
    study = run(tmp_path / "1", trials=12)
    assert_nothing_lost_or_doubled(study, 12)
    assert planned(study) == planned(run(tmp_path / "2", trials=12))


def test_an_error_is_raised_and_marked_and_not_run_again(journal):
    def broken(trial):
        if trial.number == 2:
            raise ValueError("no such layer")
        return bowl(trial)

    with pytest.raises(ValueError, match="no such layer"):
        run(journal, trials=6, objective=broken)
    study = run(journal, trials=6, objective=broken)
    assert study.trials[2].state == TrialState.FAIL
    assert "no such layer" in study.trials[2].user_attrs[ERROR]
    assert sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in study.trials) == 6
    assert len(study.trials) == 7


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_counts_as_pruned(journal, value):
    study = run(journal, trials=4, objective=lambda trial: value if trial.number == 1 else bowl(trial))
    assert study.trials[1].state == TrialState.PRUNED
    assert study.best_trial.number != 1


def test_each_ended_trial_is_reported_once(journal):
    told = []
    run(journal, trials=6, on_trial=lambda study, trial: told.append((trial.number, trial.state)))
    assert [number for number, _ in told] == list(range(6))
    assert all(state.is_finished() for _, state in told)


def test_a_repetition_takes_its_originals_place(journal):
    study = run(journal, trials=3)
    study.add_trial(optuna.create_trial(state=TrialState.FAIL, params={}, distributions={}, system_attrs={}))
    study.add_trial(
        optuna.create_trial(state=TrialState.WAITING, system_attrs={"failed_trial": 3, "retry_history": [3]})
    )
    study = run(journal, trials=5)
    assert [place for place, *_ in planned(study)] == [0, 1, 2, 3, 4]
