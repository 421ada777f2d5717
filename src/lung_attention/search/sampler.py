"""TPE with a seed for each trial, made of the study's seed and the trial's number.

A seeded sampler of Optuna starts its random numbers anew in each process: after a restart it would draw the
first trials' settings again, and workers with one seed would all draw the same ones.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

# Where Optuna's `RetryHeartbeatStaleTrialCallback` writes which trial a repetition repeats.
RETRY_OF = "failed_trial"


def original_number(trial: FrozenTrial) -> int:
    """The number under which a trial was first begun: its own, unless it repeats one that was cut off."""
    return int(trial.system_attrs.get(RETRY_OF, trial.number))


class SeededSampler(BaseSampler):
    """Gives the first trial fixed parameters and lets TPE, seeded anew for each trial, draw all others.

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
        self._of_trial = self._seeded(0)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Seeds the sampler of a trial that begins."""
        self._of_trial = self._seeded(original_number(trial))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are drawn together."""
        if original_number(trial) == 0:
            return {}
        return self._of_trial.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draws the values of `infer_relative_search_space`."""
        return self._of_trial.sample_relative(study, trial, search_space) if search_space else {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draws the value of a parameter that was not drawn with the others."""
        if original_number(trial) == 0:
            return self._first[param_name]
        return self._of_trial.sample_independent(study, trial, param_name, param_distribution)

    def _seeded(self, number: int) -> TPESampler:
        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # that of `group`
            return TPESampler(
                n_startup_trials=self._startup_trials,
                multivariate=True,
                group=True,
                constant_liar=True,
                seed=seed,
            )
