"""Nested search: a study for each outer fold, on its training rows alone, and a last one on all rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from optuna import Study
from optuna.storages import RDBStorage
from optuna.trial import FixedTrial, TrialState

from lung_attention.config import Search
from lung_attention.errors import UserError
from lung_attention.search.objective import Part, build_objective, most_epochs, part_of
from lung_attention.search.pruner import OverfitPruner
from lung_attention.search.sampler import SeededSampler
from lung_attention.search.space import parameters_of, suggest
from lung_attention.search.study import FINISHED, TrialReport, run_study
from lung_attention.training.fits import fits_of, label_numbers
from lung_attention.training.fitting import Features
from lung_attention.training.recipe import Recipe


@dataclass(frozen=True)
class Searched:
    """What is searched, and where it starts.

    Attributes:
        head: A key of `HEADS`.
        default: The settings of the recommended recipe, the first trial of each study.
        search: Space and budget.
    """

    head: str
    default: Recipe
    search: Search


def search_part(
    part: Part, searched: Searched, storage: RDBStorage, *, name: str, fold: int, on_trial: TrialReport
) -> Study:
    """Runs one study. It is handed the rows that it may see, and nothing of any other.

    Args:
        part: The rows.
        searched: What is searched.
        storage: Holds the studies.
        name: The study's name.
        fold: The outer fold that is not among the rows; sets the study's seed.
        on_trial: Receives the study and each trial that this worker has ended.

    Returns:
        The study.

    Raises:
        UserError: The space does not hold the default settings, a class has too few groups, or no trial was
            completed.
    """
    search = searched.search
    seed = int(np.random.SeedSequence([search.seed, fold + 1]).generate_state(1)[0] >> 1)
    objective = build_objective(part, search, searched.default, head=searched.head, seed=seed)
    study = run_study(
        storage,
        name,
        objective,
        sampler=SeededSampler(
            seed=seed,
            first=parameters_of(searched.default, search.space, attention=searched.head == "attention"),
            startup_trials=search.startup_trials,
        ),
        pruner=OverfitPruner(**search.pruning.model_dump(), most_epochs=most_epochs(search)),
        trials=search.trials,
        time_budget_s=search.time_budget_s,
        on_trial=on_trial,
    )
    if not study.get_trials(deepcopy=False, states=[TrialState.COMPLETE]):
        ended = len(study.get_trials(deepcopy=False, states=FINISHED))
        if ended < search.trials:
            raise UserError(
                f"{name}: search.time_budget_s, {search.time_budget_s} s, was spent after {ended} of "
                f"{search.trials} trials, none of which was completed",
                remedy='raise it: make search … SET="search.time_budget_s=3600"',
            )
        raise UserError(
            f"{name}: none of {ended} trials had a finite objective and told images apart",
            remedy="lower search.space.learning_rate in params.yaml, or look at the features",
        )
    return study


def search_cell(
    features: Mapping[str, Features],
    table: pd.DataFrame,
    classes: Sequence[str],
    searched: Searched,
    storage: RDBStorage,
    *,
    study_name: Callable[[int], str],
    track: Callable[[int], AbstractContextManager[TrialReport]],
) -> dict[int, Study]:
    """Runs all studies of a cell, one after the other.

    Args:
        features: By view `(n, rows, cols, channels)`, rows as in the table, may be memory-mapped.
        table: A grouped split table, with groups.
        classes: Class names in label order.
        searched: What is searched.
        storage: Holds the studies.
        study_name: The name of a fold's study.
        track: Makes, for the number of a fold, a context that is open while the fold's study is worked on. It
            yields a function that takes the study and each trial that this worker has ended.

    Returns:
        The studies by fold, `REFIT` for the one on all rows.
    """
    labels = label_numbers(table, classes)
    groups = table["group"].to_numpy(dtype=str)
    studies = {}
    for fold in fits_of(table):
        with track(fold.number) as on_trial:
            studies[fold.number] = search_part(
                part_of(features, labels, groups, fold.train, n_classes=len(classes)),
                searched,
                storage,
                name=study_name(fold.number),
                fold=fold.number,
                on_trial=on_trial,
            )
    return studies


def best_settings(study: Study, searched: Searched) -> Recipe:
    """The settings of a study's best trial, its epochs scaled to the fit that they are found for.

    Inner fits have k − 1 of k parts of the images, and so fewer steps an epoch; as many steps as were best
    there take (k − 1) / k of the epochs on all of them.
    """
    trial = FixedTrial(study.best_params)
    search = searched.search
    found = suggest(trial, search.space, searched.default, attention=searched.head == "attention")
    scaled = round(found.epochs * (search.inner_folds - 1) / search.inner_folds)
    return replace(found, epochs=max(scaled, min(found.epochs, 1)))
