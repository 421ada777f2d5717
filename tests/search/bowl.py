"""A small study, as a module for tests and as a program for processes that are killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import optuna
from optuna.pruners import MedianPruner
from optuna.storages import RDBStorage

from lung_attention.search.sampler import SeededSampler, original_number
from lung_attention.search.storage import open_storage
from lung_attention.search.study import FINISHED, run_study, was_cut_off

NAME = "bowl"
FIRST = {"x": 0.0, "branch": "a", "y": 0.5}
STEPS = 4


def opened(place: str | Path) -> RDBStorage:
    """A storage with a short grace period; of a path, an SQLite file."""
    address = place if isinstance(place, str) else f"sqlite:///{place}"
    return open_storage(address, heartbeat_s=1, grace_s=3)


def bowl(trial: optuna.Trial, pause_s: float = 0.0) -> float:
    """Smallest at x = 1, in branch b or with y = 0."""
    x = trial.suggest_float("x", -5, 5)
    branch = trial.suggest_categorical("branch", ["a", "b"])
    y = trial.suggest_float("y", 0, 1) if branch == "a" else 0.0
    value = (x - 1) ** 2 + y
    for step in range(STEPS):
        time.sleep(pause_s / STEPS)
        trial.report(value + STEPS - step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return value


def study_of(storage: RDBStorage, *, trials: int, objective=bowl, time_budget_s=None, on_trial=None):
    return run_study(
        storage,
        NAME,
        objective,
        sampler=SeededSampler(seed=5, first=FIRST, startup_trials=5),
        pruner=MedianPruner(n_startup_trials=3, n_warmup_steps=1),
        trials=trials,
        time_budget_s=time_budget_s,
        on_trial=on_trial or (lambda study, trial: None),
    )


def ended(study: optuna.Study) -> list[tuple]:
    """What each trial came to, whichever repetition of it did: number, state, parameters, value."""
    return sorted(
        (original_number(trial), trial.state.name, tuple(sorted(trial.params.items())), trial.value)
        for trial in study.trials
        if trial.state in FINISHED
    )


def assert_nothing_lost_or_doubled(study: optuna.Study, trials: int) -> None:
    assert not [trial.number for trial in study.trials if not trial.state.is_finished()]
    came_to_an_end = {number: dict(params) for number, _, params, _ in ended(study)}
    assert len(ended(study)) == trials
    assert len(came_to_an_end) == trials, "a trial was run twice"
    for trial in study.trials:
        if was_cut_off(trial):
            assert original_number(trial) in came_to_an_end, f"{trial.number} was lost"
            again = came_to_an_end[original_number(trial)]
            assert again.items() >= trial.params.items(), "repeated with other parameters"


if __name__ == "__main__":
    address, wanted, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

    def slow(trial: optuna.Trial) -> float:
        print("trial", trial.number, flush=True)
        return bowl(trial, pause)

    study_of(opened(address), trials=wanted, objective=slow)
