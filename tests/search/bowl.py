"""A small study, as a module for tests and as a program for processes that are killed."""

from __future__ import annotations

import sys
import time

import optuna
from optuna.pruners import MedianPruner
from optuna.trial import TrialState

from lung_attention.search.sampler import RETRY_OF, RankedSampler, rank
from lung_attention.search.study import run_study
from lung_attention.search.workers import Workers, open_workers

NAME = "bowl"
FIRST = {"x": 0.0, "branch": "a", "y": 0.5}
STEPS = 4


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


def study_of(workers: Workers, *, trials: int, objective=bowl, time_budget_s=None, on_trial=None):
    return run_study(
        workers,
        NAME,
        objective,
        sampler=RankedSampler(seed=3, first=FIRST, startup_trials=5),
        pruner=MedianPruner(n_startup_trials=3, n_warmup_steps=1),
        trials=trials,
        time_budget_s=time_budget_s,
        on_trial=on_trial or (lambda study, trial: None),
    )


def planned(study: optuna.Study) -> list[tuple]:
    """What each planned trial came to, whichever repetition of it did: rank, state, parameters, value."""
    found = [
        (rank(study, trial.number), trial.state.name, tuple(sorted(trial.params.items())), trial.value)
        for trial in study.trials
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    ]
    return sorted(found)


def assert_nothing_lost_or_doubled(study: optuna.Study, trials: int) -> None:
    places = [place for place, *_ in planned(study)]
    assert len(places) == trials
    assert len(set(places)) == trials, "a trial was run twice"
    unfinished = (TrialState.RUNNING, TrialState.WAITING)
    assert not [trial.number for trial in study.trials if trial.state in unfinished]
    finished = (TrialState.COMPLETE, TrialState.PRUNED)
    came_to_an_end = {
        trial.system_attrs.get(RETRY_OF, trial.number): trial.params
        for trial in study.trials
        if trial.state in finished
    }
    for trial in study.trials:
        if trial.state == TrialState.FAIL and "surplus" not in trial.user_attrs:
            original = trial.system_attrs.get(RETRY_OF, trial.number)
            assert original in came_to_an_end, f"{trial.number} was lost"
            assert came_to_an_end[original].items() >= trial.params.items(), "repeated with other parameters"


if __name__ == "__main__":
    address, wanted, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with open_workers(address, heartbeat_s=1, grace_s=4) as own:
        print("open", flush=True)
        study_of(
            own,
            trials=wanted,
            objective=lambda trial: bowl(trial, pause),
            on_trial=lambda study, trial: print("trial", trial.number, flush=True),
        )
