"""TPE whose draws depend on a trial's place in the study, not on what a process drew before.

A seeded sampler of Optuna starts its random numbers anew in each process: after a restart it would draw the
first trials' settings again, and many workers with one seed would all draw the same ones. Here each trial has
its own seed. So a study that was killed and resumed ends where it would have ended without the kill.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

# Optuna's `RetryHeartbeatStaleTrialCallback` writes here which trial a repetition repeats.
RETRY_OF = "failed_trial"


def rank(study: Study, number: int) -> int:
    """The place of a trial among those that are no repetition of another; a repetition has its original's.

    Args:
        study: The study.
        number: The trial's number in the study.
    """
    trials = study.get_trials(deepcopy=False)
    last = int(trials[number].system_attrs.get(RETRY_OF, number))
    return last - sum(RETRY_OF in trial.system_attrs for trial in trials[:last])


class RankedSampler(BaseSampler):
    """Gives the first trial fixed parameters and asks a freshly seeded TPE sampler for every other one.

    Parameters are drawn together, those of a branch of a conditional space by themselves. Trials under way
    count as bad ones, so that workers keep off each other's ground.

    Args:
        seed: Of the study.
        first: The parameters of the first trial.
        startup_trials: How many trials are drawn at random before TPE learns from finished ones.
    """

    def __init__(self, *, seed: int, first: Mapping[str, Any], startup_trials: int) -> None:
        self._seed = seed
        self._first = dict(first)
        self._startup_trials = startup_trials
        # Of one trial: Optuna asks for the space and then for values, and grouping a space is stateful.
        self._of_trial: tuple[int, TPESampler] | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are drawn together."""
        place = rank(study, trial.number)
        if place == 0:
            return {}
        sampler = self._sampler(place)
        self._of_trial = (trial.number, sampler)
        return sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws the values of `infer_relative_search_space`."""
        if not search_space or self._of_trial is None or self._of_trial[0] != trial.number:
            return {}
        return self._of_trial[1].sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draws the value of a parameter that was not drawn with the others."""
        place = rank(study, trial.number)
        if place == 0:
            return self._first[param_name]
        # The name is in the seed, so that a draw does not depend on which were made before it.
        sampler = self._sampler(place, zlib.crc32(param_name.encode()))
        return sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Forgets the trial's sampler."""
        self._of_trial = None

    def _sampler(self, *key: int) -> TPESampler:
        seed = int(np.random.SeedSequence([self._seed, *key]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # that of `group`
            return TPESampler(
                n_startup_trials=self._startup_trials,
                multivariate=True,
                group=True,
                constant_liar=True,
                seed=seed,
            )
