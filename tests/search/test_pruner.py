"""Which trials are given up."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from lung_attention.search.pruner import OverfitPruner

PRUNER = OverfitPruner(startup_trials=3, warmup_epochs=100, patience_epochs=2, most_epochs=10)


def pruned(losses, *, values=(0.4, 0.6, 0.8)):
    """Whether a trial with these losses by step is given up beside completed trials with these values."""
    study = optuna.create_study()
    study.add_trials([create_trial(value=value) for value in values])
    return PRUNER.prune(study, create_trial(state=TrialState.RUNNING, intermediate_values=losses))


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ({}, False),
        ({1: 0.9, 2: 0.8, 3: 0.7}, False),  # bad, but still improving
        ({1: 0.5, 2: 0.7}, False),  # above its minimum for one epoch
        ({1: 0.5, 2: 0.7, 3: 0.61}, True),  # for two, and worse than the median, 0.6
        ({1: 0.5, 2: 0.7, 3: 0.59}, False),  # for two, but better than half of the others
        ({9: 0.3, 10: 0.3, 11: 0.7}, False),  # the next fold begins anew
        ({10: 0.3, 11: 0.7, 13: 0.8}, True),
    ],
)
def test_a_trial_that_overfits_to_a_bad_end_is_given_up(losses, expected):
    assert pruned(losses) == expected


def test_nothing_is_given_up_before_there_are_trials_to_compare_with():
    assert not pruned({1: 0.5, 2: 0.7, 3: 9.0}, values=(0.4, 0.6))


def test_a_trial_that_begins_badly_is_given_up_as_ever():
    study = optuna.create_study()
    study.add_trials([create_trial(value=0.5, intermediate_values={1: 0.5, 2: 0.4}) for _ in range(3)])
    begun_badly = create_trial(state=TrialState.RUNNING, intermediate_values={1: 0.9, 2: 0.8})
    at_once = OverfitPruner(startup_trials=3, warmup_epochs=1, patience_epochs=9, most_epochs=10)
    assert at_once.prune(study, begun_badly)
    assert not PRUNER.prune(study, begun_badly)
