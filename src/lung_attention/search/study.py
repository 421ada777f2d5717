"""One study: as many trials as asked for, by one worker or many, however often they are killed."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence

import optuna
from optuna import Study, Trial, TrialPruned
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.storages import RDBStorage, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState

Objective = Callable[[Trial], float]
TrialReport = Callable[[Study, FrozenTrial], None]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

# Attributes of failed trials: what it raised, that there were enough without it.
ERROR = "error"
SURPLUS = "surplus"

# How long a worker that has nothing left to start waits before it looks at the others again.
_POLL_SECONDS = 1.0


class _SurplusTrial(Exception):  # noqa: N818 - no error: another worker began the last trial
    """There are enough trials without this one."""


def run_study(
    storage: RDBStorage,
    name: str,
    objective: Objective,
    *,
    sampler: BaseSampler,
    pruner: BasePruner,
    trials: int,
    time_budget_s: float | None,
    on_trial: TrialReport,
) -> Study:
    """Works on a study until it has its trials, or its time is spent.

    A study that exists is gone on with. Trials that were cut off are run again with the same parameters; a
    trial whose objective raises stays failed, and the error is raised here, too.

    Args:
        storage: From `open_storage`.
        name: The study's name, which says all that its values depend on.
        objective: What is minimised; may report intermediate values and raise `TrialPruned`. A value that is
            not finite counts as pruned.
        sampler: Draws parameters.
        pruner: Gives trials up.
        trials: How many trials are completed or pruned at the end, failed ones not counted.
        time_budget_s: Seconds that all trials of all workers may take together; the one that is under way
            when they are spent is finished. None: no limit.
        on_trial: Receives the study and each trial that this worker has ended.

    Returns:
        The study. It has a complete trial unless all were pruned.
    """
    study = optuna.create_study(
        study_name=name,
        storage=storage,
        sampler=sampler,
        pruner=pruner,
        direction="minimize",
        load_if_exists=True,
    )
    own: int | None = None  # the trial that this worker runs
    seen: set[int] = set()

    def guarded(trial: Trial) -> float:
        nonlocal own
        own = trial.number
        if _planned_before(study, own) >= trials:
            trial.set_user_attr(SURPLUS, True)
            raise _SurplusTrial
        try:
            value = objective(trial)
        except (TrialPruned, UpdateFinishedTrialError):
            raise
        except Exception as error:
            trial.set_user_attr(ERROR, repr(error))
            raise
        if not math.isfinite(value):
            raise TrialPruned(f"the value is {value}")
        return value

    while True:
        found = study.get_trials(deepcopy=False)
        finished = sum(trial.state in FINISHED for trial in found)
        if finished >= trials or (time_budget_s is not None and seconds_spent(found) >= time_budget_s):
            return study
        running = [trial for trial in found if trial.state == TrialState.RUNNING]
        waiting = any(trial.state == TrialState.WAITING for trial in found)
        if finished + len(running) >= trials and not waiting:
            _take_over_lost(study, storage, running, seen)
            time.sleep(_POLL_SECONDS)
            continue
        own = None
        try:
            study.optimize(guarded, n_trials=1, catch=(_SurplusTrial,), callbacks=[on_trial])
        except KeyboardInterrupt:
            # Optuna fails the trial at once, so that no other worker would find it silent and queue it again.
            retry = storage.get_heartbeat_stale_trial_callback()
            if own is not None and retry is not None and was_cut_off(study.trials[own]):
                retry(study, study.trials[own])
            raise
        except Exception as error:
            # This process was silent for so long, say asleep, that another worker runs its trial again, or
            # both took the same queued trial, which SQLite allows; then Optuna cannot write how it ended.
            ended = None if own is None else study.trials[own]
            told_by_another = isinstance(error, ValueError) and ended is not None and ended.state in FINISHED
            if ended is None or not (was_cut_off(ended) or told_by_another):
                raise


def was_cut_off(trial: FrozenTrial) -> bool:
    """Whether a trial failed only because its worker died or was interrupted; such a trial is run again."""
    return trial.state == TrialState.FAIL and not {ERROR, SURPLUS} & set(trial.user_attrs)


def seconds_spent(trials: Sequence[FrozenTrial]) -> float:
    """Seconds that the completed and pruned ones of these trials took together."""
    ended = [trial.duration for trial in trials if trial.state in FINISHED]
    return sum(duration.total_seconds() for duration in ended if duration is not None)


def _planned_before(study: Study, number: int) -> int:
    """How many trials before this one count; two workers may both begin the last one that is missing."""
    before = study.get_trials(deepcopy=False)[:number]
    return sum(trial.state != TrialState.FAIL for trial in before)


def _take_over_lost(
    study: Study, storage: RDBStorage, running: Sequence[FrozenTrial], seen: set[int]
) -> None:
    """Queues again what dead workers left running, as Optuna does by itself before it begins a trial.

    Args:
        study: The study.
        storage: Of the study.
        running: Its trials under way.
        seen: The numbers of the trials that earlier calls were given; is added to.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
    # Optuna overlooks a trial whose worker died before its first sign of life, and we would wait for ever. So
    # each gets one from us; that of a living worker loses nothing by it.
    for trial in running:
        if trial.number not in seen:
            seen.add(trial.number)
            storage.record_heartbeat(trial._trial_id)
