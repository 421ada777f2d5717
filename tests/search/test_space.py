"""From parameters to settings and back."""

from __future__ import annotations

import optuna
import pytest
from optuna.trial import FixedTrial
from settings_of_a_search import DEFAULT, SPACE, changed

from lung_attention.config import Range
from lung_attention.errors import UserError
from lung_attention.search.space import parameters_of, suggest
from lung_attention.training.recipe import Recipe, recipe_from_json

ATTENTION = {"attention_maps", "attention_gamma", "attention_activation"}


def drawn(seed: int, *, attention: bool) -> tuple[optuna.trial.FrozenTrial, Recipe]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    trial = study.ask()
    settings = suggest(trial, SPACE, DEFAULT, attention=attention)
    study.tell(trial, 0.0)
    return study.trials[0], settings


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("seed", range(8))
def test_settings_and_parameters_are_inverse(seed, attention):
    trial, settings = drawn(seed, attention=attention)
    assert parameters_of(settings, SPACE, attention=attention) == trial.params
    assert suggest(FixedTrial(trial.params), SPACE, DEFAULT, attention=attention) == settings
    assert recipe_from_json(settings.as_json()) == settings


@pytest.mark.parametrize("seed", range(8))
def test_only_a_head_with_attention_is_asked_for_it(seed):
    plain, settings = drawn(seed, attention=False)
    assert not ATTENTION & set(plain.params)
    for name in ATTENTION:
        assert getattr(settings, name) == getattr(DEFAULT, name)
    assert set(drawn(seed, attention=True)[0].params) >= ATTENTION


def test_a_layers_width_is_asked_for_only_where_there_is_one():
    seen = set()
    for seed in range(20):
        trial, settings = drawn(seed, attention=False)
        layers = trial.params["hidden_layers"]
        seen.add(layers)
        assert len(settings.hidden_units) == layers
        assert ("hidden_units_1" in trial.params) == (layers >= 1)
        assert ("hidden_units_2" in trial.params) == (layers == 2)
    assert seen == {0, 1, 2}


def test_a_linear_head_on_averages_and_maxima_starts_from_its_regression():
    seen = set()
    for seed in range(60):
        trial, settings = drawn(seed, attention=False)
        regression = not settings.hidden_units and settings.pooling == "average_max"
        assert (settings.start == "logistic") == regression
        assert ("further_epochs" in trial.params) == regression == ("epochs" not in trial.params)
        assert ("regression_l2" in trial.params) == regression == ("l2" not in trial.params)
        assert settings.l2 > 0 or not regression, "a regression without a penalty has no end"
        seen.add(regression)
    assert seen == {True, False}


def test_every_part_of_the_space_is_searched():
    names = set().union(*(drawn(seed, attention=True)[0].params for seed in range(60)))
    renamed = {name for name in names if not name.startswith("hidden_units_")} | {"hidden_units"}
    assert renamed == set(type(SPACE).model_fields)


def test_what_is_not_searched_stays_as_it_is():
    default = changed(DEFAULT, optimizer="sgd", class_weights="balanced", jit_compile=True)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    settings = suggest(study.ask(), SPACE, default, attention=True)
    for name in ("optimizer", "class_weights", "jit_compile"):
        assert getattr(settings, name) == getattr(default, name)


def test_values_stay_inside_their_ranges():
    for seed in range(20):
        trial, settings = drawn(seed, attention=True)
        assert SPACE.learning_rate.holds(settings.learning_rate)
        epochs = SPACE.epochs if settings.start == "random" else SPACE.further_epochs
        assert epochs.holds(settings.epochs)
        assert isinstance(settings.epochs, int)
        assert trial.params["batch_size"] in SPACE.batch_size


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_units", [999]),
        ("epochs", 10_000),
        ("pooling", "average"),
        ("dropout", 0.95),
        ("view", "crop"),
    ],
)
def test_a_default_outside_the_space_is_refused(name, value):
    space = SPACE.model_copy(update={"pooling": ["flatten"]})
    with pytest.raises(UserError, match=rf"search\.space\.{name}"):
        parameters_of(changed(DEFAULT, **{name: value}), space, attention=False)


@pytest.mark.parametrize(
    "values",
    [
        {"low": 2.0, "high": 1.0, "log": False, "step": None},
        {"low": 0.0, "high": 1.0, "log": True, "step": None},
        {"low": 0.1, "high": 1.0, "log": True, "step": 0.1},
    ],
)
def test_an_impossible_range_is_refused(values):
    with pytest.raises(ValueError, match=r"above|begins"):
        Range.model_validate(values)
