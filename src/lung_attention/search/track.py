"""Progress of a study: a line for each trial that has ended, and its run in MLflow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from optuna import Study
from optuna.storages import BaseStorage
from optuna.study import load_study
from optuna.trial import FrozenTrial, TrialState

from lung_attention.search.sampler import RETRY_OF
from lung_attention.search.study import ERROR, FINISHED, SURPLUS, TrialReport, seconds_spent
from lung_attention.tracking.search import StudyIdentity, TrialRecord, study_run

_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@contextmanager
def track_study(
    storage: BaseStorage, identity: StudyIdentity, params: Mapping[str, object], *, trials: int
) -> Iterator[TrialReport]:
    """Prints and tracks a study while it is worked on.

    Args:
        storage: Where the study is.
        identity: What its run in MLflow is.
        params: Of the search, flat.
        trials: How many trials are wanted.

    Yields:
        A function that takes the study and each trial that this worker has ended.
    """
    with study_run(identity, params) as run:

        def tell(study: Study, trial: FrozenTrial) -> None:
            record = trial_record(trial)
            if record is not None:
                run.trial(record)
                print(f"{identity.name}  {_line(study, trial, trials)}", flush=True)

        yield tell
        study = load_study(study_name=identity.study, storage=storage)
        records = [trial_record(trial) for trial in study.get_trials(deepcopy=False)]
        run.complete([record for record in records if record is not None], study_metrics(study))


def trial_record(trial: FrozenTrial) -> TrialRecord | None:
    """A trial as it is tracked; None if it has not ended, or was one too many.

    Args:
        trial: Of any state.
    """
    started, ended = trial.datetime_start, trial.datetime_complete
    if trial.state not in _STATES or SURPLUS in trial.user_attrs or started is None or ended is None:
        return None
    tags = {ERROR: str(trial.user_attrs[ERROR])} if ERROR in trial.user_attrs else {}
    if RETRY_OF in trial.system_attrs:
        tags["repeats"] = str(trial.system_attrs[RETRY_OF])
    return TrialRecord(
        number=trial.number,
        state=_STATES[trial.state],
        # The value of a pruned trial is its last report, which no other trial's compares with.
        value=trial.value if trial.state == TrialState.COMPLETE else None,
        params=trial.params,
        intermediate=trial.intermediate_values,
        started=started,
        ended=ended,
        tags=tags,
    )


def study_metrics(study: Study) -> dict[str, float]:
    """Metrics of a study: its best value, its trials by state, the seconds they took."""
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state for trial in trials if SURPLUS not in trial.user_attrs)
    metrics = {f"trials_{name}": float(states[state]) for state, name in _STATES.items()}
    metrics["seconds"] = seconds_spent(trials)
    if states[TrialState.COMPLETE]:
        metrics["best_objective"] = study.best_value
    return metrics


def _line(study: Study, trial: FrozenTrial, wanted: int) -> str:
    trials = study.get_trials(deepcopy=False)
    done = sum(other.state in FINISHED for other in trials)
    complete = any(other.state == TrialState.COMPLETE for other in trials)
    best = f", best {study.best_value:.4f}" if complete else ""
    value = f" {trial.value:.4f}" if trial.value is not None else ""
    took = f"{trial.duration.total_seconds():.0f} s" if trial.duration else ""
    return f"trial {trial.number} {_STATES[trial.state]}{value} in {took} ({done} of {wanted}{best})"
