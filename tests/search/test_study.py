"""A study in one process: its trials, its order, its limits."""

from __future__ import annotations

import math

import optuna
import pytest
from bowl import FIRST, assert_nothing_lost_or_doubled, bowl, ended, opened, study_of
from optuna.trial import TrialState

from lung_attention.search.study import ERROR


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.db"


def run(file, **options):
    return study_of(opened(file), **options)


def test_a_study_has_its_trials_and_some_are_pruned(file):
    study = run(file, trials=20)
    assert_nothing_lost_or_doubled(study, 20)
    states = [trial.state for trial in study.trials]
    assert TrialState.PRUNED in states
    assert states.count(TrialState.COMPLETE) > 3


def test_the_first_trial_has_the_given_parameters(file):
    study = run(file, trials=2)
    assert study.trials[0].params == FIRST
    assert study.trials[1].params["x"] != FIRST["x"]


def test_equal_seeds_give_equal_studies(tmp_path):
    first, second = run(tmp_path / "1", trials=15), run(tmp_path / "2", trials=15)
    assert ended(first) == ended(second)
    assert first.best_params == second.best_params


def test_what_is_learned_beats_what_is_drawn_at_random(file):
    study = run(file, trials=40)
    values = [(trial.params["x"] - 1) ** 2 for trial in study.trials]
    assert sum(values[25:]) / 15 < sum(values[1:6]) / 5


def test_more_trials_later_are_the_trials_of_one_longer_study(tmp_path):
    run(tmp_path / "1", trials=8)
    assert ended(run(tmp_path / "1", trials=16)) == ended(run(tmp_path / "2", trials=16))


def test_a_study_that_is_complete_runs_nothing(file):
    run(file, trials=5)

    def never(trial):
        raise AssertionError("ran")

    assert len(run(file, trials=5, objective=never).trials) == 5


def test_the_time_budget_ends_a_study_and_counts_what_earlier_processes_spent(file):
    slow = {"objective": lambda trial: bowl(trial, 0.1), "time_budget_s": 0.35}
    study = run(file, trials=1000, **slow)
    done = len(study.trials)
    assert 1 <= done <= 8  # one on a busy machine
    assert len(run(file, trials=1000, **slow).trials) == done


@pytest.mark.parametrize("number", [0, 6])
def test_ctrl_c_leaves_a_trial_that_is_run_again(file, number):
    def interrupted(trial):
        if trial.number == number:
            trial.suggest_float("x", -5, 5)
            raise KeyboardInterrupt
        return bowl(trial)

    with pytest.raises(KeyboardInterrupt):
        run(file, trials=12, objective=interrupted)
    study = run(file, trials=12)
    assert_nothing_lost_or_doubled(study, 12)
    assert [trial.number for trial in study.trials if trial.state == TrialState.FAIL] == [number]
    assert dict(ended(study)[0][2]) == FIRST


def test_of_two_workers_that_begin_the_last_trial_the_later_gives_up(file, monkeypatch):
    others = run(file, trials=4)
    ask = optuna.Study.ask

    def just_too_late(study):
        monkeypatch.undo()
        others.add_trial(optuna.create_trial(value=1.0))
        return ask(study)

    monkeypatch.setattr(optuna.Study, "ask", just_too_late)
    study = run(file, trials=5)
    assert len(ended(study)) == 5
    assert study.trials[5].state == TrialState.FAIL
    assert not study.trials[5].params


def test_an_error_is_raised_and_marked_and_not_run_again(file):
    def broken(trial):
        if trial.number == 2:
            raise ValueError("no such layer")
        return bowl(trial)

    with pytest.raises(ValueError, match="no such layer"):
        run(file, trials=6, objective=broken)
    study = run(file, trials=6, objective=broken)
    assert study.trials[2].state == TrialState.FAIL
    assert "no such layer" in study.trials[2].user_attrs[ERROR]
    assert sum(trial.state in (TrialState.COMPLETE, TrialState.PRUNED) for trial in study.trials) == 6
    assert len(study.trials) == 7


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_not_finite_counts_as_pruned(file, value):
    study = run(file, trials=4, objective=lambda trial: value if trial.number == 1 else bowl(trial))
    assert study.trials[1].state == TrialState.PRUNED
    assert study.best_trial.number != 1


def test_each_ended_trial_is_reported_once(file):
    told = []
    run(file, trials=6, on_trial=lambda study, trial: told.append((trial.number, trial.state)))
    assert [number for number, _ in told] == list(range(6))
    assert all(state.is_finished() for _, state in told)
