"""What is kept of a search: the settings found, and enough of each study to judge and draw it."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from lung_attention.files import inputs_digest
from lung_attention.search.nested import Searched, best_settings
from lung_attention.search.sampler import original_number
from lung_attention.search.study import ERROR, FINISHED, seconds_spent, was_cut_off
from lung_attention.training.recipe import fold_name

Json = dict[str, Any]


def study_result(study: Study, searched: Searched) -> Json:
    """A study in a few numbers.

    Args:
        study: With at least one complete trial.
        searched: What was searched.

    Returns:
        - `settings`: of the best trial, as `train.recipe` has them, epochs scaled (see `best_settings`).
        - `best_value`, `default_value`: the objective of the best and of the first trial, which has the
          settings of the recommended recipe (null if it was not completed); `best_trial`: the number of the
          best.
        - `trials`: how many were `complete`, `pruned`, ended by an `error`, and cut off and `repeated`.
        - `seconds`: that complete and pruned trials took.
        - `importances`: of the parameters, summing to 1; empty with few trials.
        - `history`: `[number, state, value]` of each complete or pruned trial, in the order they were
          first begun; of a pruned one the value is the last loss it reported.
    """
    trials = study.get_trials(deepcopy=False)
    states = Counter(trial.state for trial in trials)
    finished = sorted(
        (original_number(trial), trial.state.name.lower(), trial.value)
        for trial in trials
        if trial.state in FINISHED
    )
    first = [value for number, state, value in finished if number == 0 and state == "complete"]
    return {
        "settings": best_settings(study, searched).as_json(),
        "best_value": study.best_value,
        "best_trial": original_number(study.best_trial),
        "default_value": first[0] if first else None,
        "trials": {
            "complete": states[TrialState.COMPLETE],
            "pruned": states[TrialState.PRUNED],
            "error": sum(ERROR in trial.user_attrs for trial in trials),
            "repeated": sum(was_cut_off(trial) for trial in trials),
        },
        "seconds": round(seconds_spent(trials), 1),
        "importances": importances(study),
        "history": [list(entry) for entry in finished],
    }


def importances(study: Study) -> dict[str, float]:
    """How much each parameter sets the best tenth of the complete trials apart (PED-ANOVA).

    Watanabe, Bansal and Hutter, "PED-ANOVA: Efficiently quantifying hyperparameter importance in arbitrary
    subspaces" (IJCAI 2023). Parameters that only some trials have are assessed among those.

    Args:
        study: The study.

    Returns:
        Fractions that sum to 1, the largest first; empty where the values do not differ or are too few.
    """
    values = {trial.value for trial in study.get_trials(deepcopy=False, states=[TrialState.COMPLETE])}
    if len(values) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    if not all(math.isfinite(value) for value in found.values()):
        return {}
    return {name: float(value) for name, value in found.items()}


def search_result(studies: Mapping[int, Study], searched: Searched) -> Json:
    """All studies of a cell.

    Args:
        studies: By outer fold, `REFIT` for the one on all rows.
        searched: What was searched.

    Returns:
        `default` (the settings of the recommended recipe), `search` (the parameters), and `studies`: for each
        fold (`fold-0` …, and `all`) the content of `study_result`.
    """
    return {
        "default": searched.default.as_json(),
        "search": searched.search.model_dump(),
        "studies": {fold_name(fold): study_result(study, searched) for fold, study in studies.items()},
    }


def studies_digest(name: str, searched: Searched, data: Sequence[Path]) -> str:
    """A hash of all that trials' values depend on: a study of the same hash may be gone on with.

    Args:
        name: The cell's.
        searched: What is searched; its budget does not count.
        data: The files that say which rows there are, what their features are, and the hashes of the code.

    Returns:
        A SHA-256 as 64 hexadecimal digits.
    """
    return inputs_digest(
        data,
        {"cell": name, "search": searched.search.of_values(), "default": searched.default.as_json()},
    )
