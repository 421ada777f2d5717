"""One study: as many trials as asked for, by one worker or many, however often they are killed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import optuna
from optuna import Study, Trial, TrialPruned
from optuna.exceptions import UpdateFinishedTrialError
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from lung_attention.search.repetitions import ERROR, SURPLUS, WORKER, is_doubled, was_cut_off
from lung_attention.search.sampler import RETRY_OF

if TYPE_CHECKING:
    from lung_attention.search.workers import Workers

Objective = Callable[[Trial], float]
TrialReport = Callable[[Study, FrozenTrial], None]

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)

# How long a worker that has nothing left to start waits before it looks at the others again.
_POLL_SECONDS = 1.0


class _SurplusTrial(Exception):  # noqa: N818 - no error: another worker began the last trial
    """There are enough trials without this one."""


class _Interrupted(BaseException):
    """Ctrl-C, in a form that Optuna does not take for a failure of the trial."""


def run_study(
    workers: Workers,
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
        workers: The storage, and this process' place among its workers.
        name: The study's name, which says all that its values depend on.
        objective: What is minimised; may report intermediate values and raise `TrialPruned`. A value that is
            not finite counts as pruned.
        sampler: Draws parameters.
        pruner: Gives trials up.
        trials: How many trials are finished or pruned at the end, repetitions and errors not counted.
        time_budget_s: Seconds that all trials of all workers may take together; the one that is under way
            when they are spent is finished. None: no limit.
        on_trial: Receives the study and each trial that this worker has ended.

    Returns:
        The study. It has at least one complete trial, unless other workers still run the first ones.
    """
    study = optuna.create_study(
        study_name=name,
        storage=workers.storage,
        sampler=sampler,
        pruner=pruner,
        direction="minimize",
        load_if_exists=True,
    )

    own = -1  # the trial that this worker runs

    def guarded(trial: Trial) -> float:
        nonlocal own
        own = trial.number
        trial.set_user_attr(WORKER, workers.name)
        if _enough_without(study, trial, trials):
            trial.set_user_attr(SURPLUS, True)
            raise _SurplusTrial
        try:
            value = objective(trial)
        except (TrialPruned, UpdateFinishedTrialError):
            raise
        except KeyboardInterrupt:
            raise _Interrupted from None
        except Exception as error:
            trial.set_user_attr(ERROR, repr(error))
            raise
        if not math.isfinite(value):
            raise TrialPruned(f"the value is {value}")
        return value

    while True:
        workers.requeue_lost(study)
        found = study.get_trials(deepcopy=False)
        finished = sum(trial.state in FINISHED for trial in found)
        if finished >= trials or (time_budget_s is not None and seconds_spent(found) >= time_budget_s):
            return study
        running = sum(trial.state == TrialState.RUNNING for trial in found)
        waiting = any(trial.state == TrialState.WAITING for trial in found)
        if finished + running >= trials and not waiting:
            time.sleep(_POLL_SECONDS)  # others run the last ones; should they die, we do
            continue
        own = -1
        try:
            study.optimize(guarded, n_trials=1, catch=(_SurplusTrial,), callbacks=[on_trial])
        except _Interrupted:
            raise KeyboardInterrupt from None
        except Exception:
            # We were silent for so long that another worker failed our trial and runs it again: Optuna then
            # cannot write how it ended.
            if own == -1 or not _was_taken_over(study, own):
                raise


def seconds_spent(trials: list[FrozenTrial]) -> float:
    """Seconds that the ended trials of a study took, together; of one that was cut off nobody knows."""
    ended = [trial for trial in trials if trial.state != TrialState.FAIL or not was_cut_off(trial)]
    return sum(trial.duration.total_seconds() for trial in ended if trial.duration is not None)


def _was_taken_over(study: Study, number: int) -> bool:
    trial = study.get_trials(deepcopy=False)[number]
    return trial.state == TrialState.FAIL and was_cut_off(trial)


def _enough_without(study: Study, trial: Trial, trials: int) -> bool:
    """Whether two workers began the last trial, or the same repetition, and this is the later one."""
    found = study.get_trials(deepcopy=False)
    if RETRY_OF in found[trial.number].system_attrs:
        return is_doubled(found, found[trial.number])
    before = [
        other
        for other in found
        if other.state != TrialState.FAIL
        and other.number != trial.number
        and (other.number < trial.number or RETRY_OF in other.system_attrs)
    ]
    return len(before) >= trials
