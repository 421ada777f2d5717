"""Gives up trials that will not end well: those that begin badly, and those that overfit."""

from __future__ import annotations

import statistics

from optuna import Study
from optuna.pruners import BasePruner, MedianPruner
from optuna.trial import FrozenTrial, TrialState


class OverfitPruner(BasePruner):
    """Gives up a trial as Optuna's `MedianPruner` does, or when it overfits.

    The `MedianPruner` looks at the best loss that a trial has had. A trial's value, though, is its last loss:
    one that overfits keeps its best and goes on to a bad end. So a trial is given up, too, when its loss in
    the fold under way has been above its minimum for some epochs, and is worse than what half of the
    completed trials came to.

    Args:
        startup_trials: How many trials are completed before any is given up.
        warmup_epochs: Epochs before the `MedianPruner` may give a trial up.
        patience_epochs: Epochs without a new minimum.
        most_epochs: The steps of a fold: epoch e of fold f is step f · `most_epochs` + e, from 1.
    """

    def __init__(
        self, *, startup_trials: int, warmup_epochs: int, patience_epochs: int, most_epochs: int
    ) -> None:
        self._startup_trials = startup_trials
        self._patience_epochs = patience_epochs
        self._most_epochs = most_epochs
        self._median = MedianPruner(n_startup_trials=startup_trials, n_warmup_steps=warmup_epochs)

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        """Whether a trial is given up after what it has reported so far."""
        return self._median.prune(study, trial) or self._overfits(study, trial)

    def _overfits(self, study: Study, trial: FrozenTrial) -> bool:
        if trial.last_step is None:
            return False
        fold = (trial.last_step - 1) // self._most_epochs
        losses = {
            step: loss
            for step, loss in trial.intermediate_values.items()
            if (step - 1) // self._most_epochs == fold
        }
        if trial.last_step - min(losses, key=lambda step: (losses[step], step)) < self._patience_epochs:
            return False
        completed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [other.value for other in completed if other.value is not None]
        return len(values) >= self._startup_trials and losses[trial.last_step] > statistics.median(values)
