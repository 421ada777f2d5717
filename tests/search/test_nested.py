"""The nested search on toy features: what each study sees, and what is predicted by which settings."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from bowl import ended, opened
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from settings_of_a_search import CLASSES, DEFAULT, SEARCH, changed, searched_settings, toy, views_of
from sklearn.metrics import log_loss, roc_auc_score

from lung_attention.errors import UserError
from lung_attention.files import read_json, sha256, write_json, write_table
from lung_attention.search import nested
from lung_attention.search.nested import Searched, best_settings, search_cell, search_part
from lung_attention.search.objective import (
    OBJECTIVES,
    ConstantPredictorError,
    folds_of_part,
    inner_value,
    part_of,
)
from lung_attention.search.results import search_result, studies_digest
from lung_attention.splits.settings import REFIT
from lung_attention.training.fits import CompiledHead, Material, fit, fit_seed, fits_of, label_numbers
from lung_attention.training.fitting import predict
from lung_attention.training.recipe import Settings, fold_name, require_split

SEARCHED = Searched(head="attention", default=DEFAULT, search=SEARCH)


def folds_of(part, number):
    return folds_of_part(part, folds=number, seed=1)


def nothing(*_):
    pass


@contextmanager
def untracked(_fold):
    yield nothing


def search(tmp_path, name, features, table, *, track=untracked):
    storage = opened(tmp_path / f"{name}.db")
    studies = search_cell(
        views_of(features), table, CLASSES, SEARCHED, storage, study_name=fold_name, track=track
    )
    for study in studies.values():
        settings = best_settings(study, SEARCHED)
        assert settings.learning_rate == study.best_trial.params["learning_rate"]
        tried = study.best_trial.params
        tried = tried.get("epochs", tried.get("further_epochs"))
        assert settings.epochs == max(round(tried / 2), min(tried, 1)), (
            "half of the images, half of the steps"
        )
    return {fold: ended(study) for fold, study in studies.items()}, search_result(studies, SEARCHED)


@pytest.fixture(scope="module")
def searched_toy(tmp_path_factory):
    return search(tmp_path_factory.mktemp("toy"), "toy", *toy())


def everything(part=None):
    features, table = toy()
    rows = np.arange(len(table)) if part is None else part
    groups = table["group"].to_numpy(dtype=str)
    return part_of(views_of(features), label_numbers(table, CLASSES), groups, rows, n_classes=len(CLASSES))


def test_a_study_never_receives_its_outer_test_part(tmp_path, searched_toy):
    """While a fold is searched its test rows are NaN, and no trial changes.

    That nothing changes also says that equal seeds give equal trials and equal best parameters.
    """
    features, table = toy()
    clean = features.copy()
    folds = {fold.number: fold for fold in fits_of(table)}

    @contextmanager
    def poison(number):
        features[...] = clean
        features[folds[number].test] = np.nan
        yield nothing

    poisoned, result = search(tmp_path, "poisoned", features, table, track=poison)
    assert poisoned == searched_toy[0]
    for name, study in searched_toy[1]["studies"].items():
        assert result["studies"][name]["settings"] == study["settings"]


def test_what_a_study_does_receive_changes_it(tmp_path, searched_toy):
    """Else the test above could not fail."""
    features, table = toy()
    fold = fits_of(table)[0]
    features[fold.train[:2]] = 3
    first = Searched("attention", DEFAULT, SEARCH.model_copy(update={"trials": 1}))
    groups = table["group"].to_numpy(dtype=str)
    part = part_of(views_of(features), label_numbers(table, CLASSES), groups, fold.train, n_classes=2)
    study = search_part(part, first, opened(tmp_path / "a.db"), name="a", fold=0, on_trial=nothing)
    (_, state, parameters, value), clean = ended(study)[0], searched_toy[0][0][0]
    assert (state, parameters) == clean[1:3]
    assert value != pytest.approx(clean[3])


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (None, "none of 3 trials had a finite objective"),
        (1e-9, r"time_budget_s, 1e-09 s, was spent after 1 of 3"),
    ],
)
def test_a_search_in_which_no_trial_was_completed_says_why(tmp_path, monkeypatch, budget, said):
    monkeypatch.setattr(nested, "build_objective", lambda *_, **__: lambda trial: np.nan)
    searched = Searched("attention", DEFAULT, SEARCH.model_copy(update={"time_budget_s": budget}))
    with pytest.raises(UserError, match=f"^a: .*{said}"):
        search_part(everything(), searched, opened(tmp_path / "a.db"), name="a", fold=0, on_trial=nothing)


def test_another_seed_searches_elsewhere(tmp_path, searched_toy):
    other = Searched("attention", DEFAULT, SEARCH.model_copy(update={"seed": 6, "trials": 2}))
    part, storage = everything(fits_of(toy()[1])[0].train), opened(tmp_path / "other.db")
    study = search_part(part, other, storage, name="a", fold=0, on_trial=nothing)
    assert ended(study)[1][2] != searched_toy[0][0][1][2]


def test_there_is_a_study_for_each_fold_and_one_on_all_rows(searched_toy):
    planned_trials, result = searched_toy
    assert list(planned_trials) == [0, 1, REFIT]
    assert list(result["studies"]) == ["fold-0", "fold-1", "all"]
    assert planned_trials[0] != planned_trials[1]


def test_the_result_says_what_was_found_and_how(searched_toy):
    study = searched_toy[1]["studies"]["fold-0"]
    assert set(study["settings"]) == set(DEFAULT.as_json())
    assert study["trials"]["complete"] + study["trials"]["pruned"] == SEARCH.trials
    assert study["trials"]["error"] == study["trials"]["repeated"] == 0
    assert study["best_value"] <= study["default_value"]
    assert study["best_value"] == min(value for _, state, value in study["history"] if state == "complete")
    assert study["history"][study["best_trial"]][2] == study["best_value"]
    assert [number for number, *_ in study["history"]] == list(range(SEARCH.trials))
    assert abs(sum(study["importances"].values()) - 1) < 1e-6
    assert searched_toy[1]["default"] == DEFAULT.as_json()


def test_a_parts_rows_are_its_own():
    features, _ = toy()
    part = everything(np.arange(10))
    assert len(part.labels) == len(part.groups) == 10
    whole = part_of(views_of(features), np.zeros(48, int), np.full(48, "g"), np.arange(48), n_classes=2)
    for name in ("whole", "close"):
        assert len(part.features[name]) == 10
        assert not np.shares_memory(whole.features[name], features)


def test_inner_parts_share_no_group_and_cover_every_row():
    part = everything()
    validated = []
    for train, validation in folds_of(part, 3):
        assert not set(part.groups[train]) & set(part.groups[validation])
        assert set(part.labels[validation].tolist()) == {0, 1}
        validated += validation.tolist()
    assert sorted(validated) == list(range(48))


def test_too_few_groups_are_refused():
    with pytest.raises(UserError, match="2 groups"):
        folds_of(everything(np.arange(8)), 3)


def value_of(part, settings, objective="log_loss", reported=None):
    return inner_value(
        part, settings, folds_of(part, 2), head="plain", jit_compile=False, seed=3,
        objective=OBJECTIVES[objective],
        on_epoch=lambda *entry: None if reported is None else reported.append(entry),
    )  # fmt: skip


def out_of_fold(part, settings):
    """Probabilities of all rows and their labels, each row by the fit that did not see it."""
    features = part.features[settings.view]
    heads, probabilities, rows = CompiledHead("plain", len(CLASSES)), [], []
    for number, (_, validation) in enumerate(folds_of(part, 2)):
        head = heads.start(settings, features.shape[1:], seed=fit_seed(3, number))
        probabilities.append(predict(head, features, validation, batch_size=8).astype(np.float64))
        rows.append(validation)
    found = np.concatenate(probabilities)
    return found / found.sum(axis=1, keepdims=True), part.labels[np.concatenate(rows)]


def test_the_objective_is_the_log_loss_after_the_best_temperature():
    """Nothing is learned at a vanishing rate, so that a penalty cannot change it."""
    part = everything()
    values = []
    for l2 in (0.0, 0.5):
        reported = []
        settings = changed(DEFAULT, l2=l2, learning_rate=1e-9)
        values.append(value_of(part, settings, reported=reported))
        assert [entry[:2] for entry in reported] == [(0, 1), (0, 2), (1, 1), (1, 2)]
        assert reported[-1][2] == pytest.approx(values[-1])
    assert values[0] == pytest.approx(values[1], rel=1e-5)
    found, labels = out_of_fold(part, settings)

    def loss(inverse):
        return log_loss(labels, softmax(inverse * np.log(found), axis=1), labels=range(len(CLASSES)))

    best = minimize_scalar(loss, bounds=(-50, 50), method="bounded", options={"xatol": 1e-6})
    assert values[0] == pytest.approx(best.fun, abs=1e-4)
    assert best.fun <= loss(1)


def test_the_other_objective_is_what_the_auroc_lacks():
    part = everything()
    settings = changed(DEFAULT, learning_rate=1e-9)
    found, labels = out_of_fold(part, settings)
    expected = 1 - roc_auc_score(labels, found[:, 1])
    assert value_of(part, settings, "auroc") == pytest.approx(expected)


def test_a_fit_that_predicts_the_same_for_all_images_is_refused():
    """Its log loss after a temperature is that of a coin, which an overconfident head may not reach."""
    part = everything()
    flat = replace(part, features={"whole": np.zeros_like(part.features["whole"])})
    with pytest.raises(ConstantPredictorError, match="fold 0"):
        value_of(flat, DEFAULT)


def test_a_linear_head_is_searched_from_its_regression():
    part = everything()
    linear = changed(DEFAULT, pooling="average_max", hidden_units=[], start="logistic", epochs=0, l2=0.01)
    reported = []
    value = value_of(part, linear, reported=reported)
    assert [entry[:2] for entry in reported] == [(0, 1), (1, 1)]
    assert value < np.log(2)


def by_fit(**of):
    """Settings of the fits of `toy`, those that were searched where no others are given."""
    return Settings({"fold-0": DEFAULT, "fold-1": DEFAULT, "all": DEFAULT} | of, None)


def test_monitoring_has_no_influence_on_a_fit():
    """So that a searched cell, which monitors nothing, and the published one differ by settings alone."""
    features, table = toy()
    seen, unseen = (
        fit(Material(features, table, CLASSES, replace(by_fit(), split=split), "attention", [0, 1]), nothing)
        for split in (None, "0" * 64)
    )
    assert seen.history["val_loss"].notna().any()
    pd.testing.assert_frame_equal(unseen.predictions, seen.predictions)
    for ours, theirs in zip(unseen.head.get_weights(), seen.head.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_each_fold_is_predicted_once_by_the_settings_of_its_own_study():
    features, table = toy()
    lazy = changed(DEFAULT, learning_rate=1e-9)
    wide = changed(DEFAULT, hidden_units=[2, 2])
    fits = []
    chosen = replace(by_fit(**{"fold-1": lazy, "all": wide}), split="0" * 64)
    fitted = fit(
        Material(features, table, CLASSES, chosen, "plain", [0]),
        lambda seed, fold, epoch, values: fits.append((fold, epoch)),
    )
    searched = fitted.predictions
    assert sorted(searched["image"]) == sorted(table["image"])
    assert fits == [(0, 1), (0, 2), (1, 1), (1, 2), (REFIT, 1), (REFIT, 2)]
    curves = fitted.history
    assert list(zip(curves["fold"], curves["epoch"], strict=True)) == fits
    assert curves["loss"].notna().all()
    assert curves["val_loss"].isna().all(), "a test part was monitored"
    both = fit(Material(features, table, CLASSES, by_fit(all=wide), "plain", [0]), nothing).predictions
    same = (searched["probability_normal"] == both["probability_normal"]).to_numpy()
    assert same[searched["fold"] == 0].all()
    assert not same[searched["fold"] == 1].any()
    assert [layer.units for layer in fitted.head.layers if hasattr(layer, "units")] == [2, 2, 2]


def test_a_fit_looks_at_the_view_that_its_study_chose():
    """Each fold predicts as where all look at its view, and the other view is not looked at."""
    features, table = toy()
    views = views_of(features)
    close = changed(DEFAULT, view="close")

    def fitted(settings, seen):
        material = Material(seen["whole"], table, CLASSES, settings, "plain", [0], views=seen)
        return fit(material, nothing)

    mixed, whole = (fitted(settings, views) for settings in (by_fit(**{"fold-1": close}), by_fit()))
    only = fitted(by_fit(**dict.fromkeys(("fold-0", "fold-1", "all"), close)), views)
    of_fold = mixed.predictions["fold"] == 1
    pd.testing.assert_frame_equal(mixed.predictions[of_fold], only.predictions[of_fold])
    pd.testing.assert_frame_equal(mixed.predictions[~of_fold], whole.predictions[~of_fold])
    assert not mixed.predictions[of_fold].equals(whole.predictions[of_fold])
    assert mixed.head.input_shape == (None, 2, 2, 3), "the kept model looks at the view of the refit"
    assert only.head.input_shape == (None, 1, 2, 3)
    # A linear head starts from the regression on its own view's columns.
    linear = {"pooling": "average_max", "hidden_units": [], "start": "logistic", "epochs": 0}
    regressed = by_fit(**{"fold-0": changed(DEFAULT, **linear), "fold-1": changed(close, **linear)})
    dark = {**views, "whole": np.zeros_like(features)}
    seeing, blind = (fitted(regressed, seen).predictions for seen in (views, dark))
    pd.testing.assert_frame_equal(seeing[of_fold], blind[of_fold])
    assert blind.loc[~of_fold, "probability_normal"].nunique() == 1


def test_a_study_chooses_the_view_in_which_classes_differ(tmp_path):
    features, table = toy()
    views = {"whole": np.zeros_like(features), "close": features}
    default = changed(DEFAULT, view="close", learning_rate=0.05, epochs=4)
    searched = Searched("plain", default, SEARCH.model_copy(update={"trials": 6, "startup_trials": 5}))
    groups = table["group"].to_numpy(dtype=str)
    part = part_of(views, label_numbers(table, CLASSES), groups, np.arange(48), n_classes=2)
    study = search_part(part, searched, opened(tmp_path / "a.db"), name="a", fold=0, on_trial=nothing)
    assert {trial.params["view"] for trial in study.trials} == {"whole", "close"}
    assert best_settings(study, searched).view == "close"


@pytest.fixture
def kept(searched_toy, tmp_path):
    """The file of a search, and the split that it was on."""
    split, found = tmp_path / "split.csv", tmp_path / "cell.json"
    write_table(split, toy()[1])
    write_json(found, {**searched_toy[1], "split": sha256(split)})
    return found, split


def test_what_a_search_found_is_what_each_fold_is_fitted_with(searched_toy, kept):
    found, split = kept
    settings = searched_settings(read_json(found))
    require_split(settings, split)
    assert set(settings.by_fit) == {"fold-0", "fold-1", "all"}
    for fold in (0, 1, REFIT):
        assert settings.of(fold).as_json() == searched_toy[1]["studies"][fold_name(fold)]["settings"]


def test_a_search_on_another_split_is_refused(kept):
    """Its folds have the same names, but their settings may have been chosen by what they test now."""
    found, split = kept
    write_table(split, toy()[1].assign(fold=lambda table: 1 - table["fold"]))
    settings = searched_settings(read_json(found))
    with pytest.raises(UserError, match="searched on another split") as caught:
        require_split(settings, split)
    assert "make search" in caught.value.remedy


def test_the_hash_of_a_study_counts_what_its_values_depend_on(tmp_path):
    data = tmp_path / "split.csv"
    data.write_text("image,label\n")

    def digest(searched=SEARCHED):
        return studies_digest("cell", searched, [data])

    first = digest()
    assert studies_digest("other", SEARCHED, [data]) != first
    more = {"trials": 99, "time_budget_s": 5.0, "heartbeat_s": 9, "grace_s": 9}
    assert digest(Searched("attention", DEFAULT, SEARCH.model_copy(update=more))) == first
    assert digest(Searched("attention", DEFAULT, SEARCH.model_copy(update={"seed": 6}))) != first
    assert digest(Searched("attention", changed(DEFAULT, epochs=3), SEARCH)) != first
    data.write_text("image,label\na,b\n")
    assert digest() != first
