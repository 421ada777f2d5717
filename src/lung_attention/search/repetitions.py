"""Trials that were cut off, and their repetitions with the same parameters."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence

from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

from lung_attention.search.sampler import RETRY_OF

# Attributes of trials: who runs it, what it raised, that there were enough without it.
WORKER = "worker"
ERROR = "error"
SURPLUS = "surplus"


def was_cut_off(trial: FrozenTrial) -> bool:
    """Whether a failed trial failed only because its worker died; such a trial is run again.

    Args:
        trial: In state FAIL.
    """
    return not {ERROR, SURPLUS} & set(trial.user_attrs)


def queue_missing(study: Study) -> None:
    """Queues each trial again that was cut off and has no repetition yet.

    Two workers may do so at once; of two such repetitions the later one is too many (`is_doubled`).

    Args:
        study: The study.
    """
    trials = study.get_trials(deepcopy=False)
    # A chain of repetitions names its first trial, so that only its last link may be missing.
    last = {
        trial.system_attrs.get(RETRY_OF, trial.number): trial
        for trial in trials
        if SURPLUS not in trial.user_attrs
    }
    for trial in last.values():
        if trial.state == TrialState.FAIL and was_cut_off(trial):
            queue_again(study, trial)


def is_doubled(trials: Sequence[FrozenTrial], trial: FrozenTrial) -> bool:
    """Whether an earlier trial is the same repetition, under way or ended, so that this one is too many.

    Args:
        trials: Those of the study.
        trial: One of them.
    """
    original = trial.system_attrs.get(RETRY_OF)
    return original is not None and any(
        other.system_attrs.get(RETRY_OF) == original
        and other.number < trial.number
        and (other.state != TrialState.FAIL or not was_cut_off(other))
        and SURPLUS not in other.user_attrs
        for other in trials
    )


def queue_again(study: Study, lost: FrozenTrial) -> None:
    """Queues a trial's parameters again.

    Args:
        study: The study.
        lost: A trial that was cut off.
    """
    trial = copy.deepcopy(lost)
    # Signed by the dead worker, the repetition would look lost until its own worker signs it.
    trial.user_attrs.pop(WORKER, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        RetryHeartbeatStaleTrialCallback()(study, trial)
