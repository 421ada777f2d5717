"""Recipes: settings as plain values and back, and how each recipe comes to them."""

import hashlib
import importlib.util
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from small_recipe import SMALL, TUNING, small_recipe

from lung_attention.errors import UserError
from lung_attention.splits.settings import REFIT
from lung_attention.training.recipe import (
    EVERY,
    Choices,
    Settings,
    fold_name,
    recipe_from_json,
    require_split,
    settings_from_json,
    settings_params,
)
from lung_attention.training.recipes import RECIPES, Ingredients

recipes = st.builds(
    small_recipe,
    epochs=st.integers(1, 200),
    learning_rate=st.floats(1e-6, 1.0),
    optimizer=st.sampled_from(["adam", "adamw", "sgd"]),
    class_weights=st.sampled_from(["none", "balanced"]),
    jit_compile=st.booleans(),
    hidden_units=st.lists(st.integers(1, 512), min_size=1, max_size=3).map(tuple),
    dropout=st.floats(0, 0.9),
    attention_gamma=st.floats(-2, 2),
)


@given(recipe=recipes)
def test_a_recipe_comes_back_from_json(recipe):
    assert recipe_from_json(json.loads(json.dumps(recipe.as_json()))) == recipe


@given(recipe=recipes, other=recipes)
def test_settings_come_back_from_json(recipe, other):
    settings = Settings({"fold-0": recipe, "all": other}, "0" * 64)
    written = json.loads(json.dumps({**settings.as_json(), "seconds": 3}))
    assert settings_from_json(written) == settings


@pytest.mark.parametrize(
    "changes",
    [
        {"patience": 3},
        {"epochs": -1},
        {"epochs": "12"},
        {"epochs": 1.5},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"optimizer": "rmsprop"},
        {"class_weights": True},
        {"hidden_units": [0]},
        {"dropout": 1.0},
        {"pooling": "max"},
    ],
)
def test_an_unknown_key_or_a_bad_value_is_refused(changes):
    with pytest.raises(ValidationError, match=next(iter(changes))):
        recipe_from_json({**SMALL.as_json(), **changes})


def test_a_missing_key_is_refused():
    for key in SMALL.as_json():
        values = SMALL.as_json()
        del values[key]
        with pytest.raises(ValidationError, match=key):
            recipe_from_json(values)


def test_a_fit_has_its_own_settings_or_those_of_all():
    first, rest = small_recipe(epochs=1), small_recipe(epochs=9)
    settings = Settings({EVERY: rest, "fold-1": first}, None)
    assert [settings.of(fold).epochs for fold in (0, 1, 2, REFIT)] == [9, 1, 9, 9]
    assert [fold_name(fold) for fold in (0, 12, REFIT)] == ["fold-0", "fold-12", "all"]
    with pytest.raises(KeyError):
        Settings({"fold-0": first}, None).of(1)


def test_settings_are_told_fit_by_fit():
    told = settings_params(Settings({EVERY: SMALL}, None))
    assert told == SMALL.as_json()
    told = settings_params(Settings({"fold-0": SMALL, "all": small_recipe(epochs=7)}, None))
    assert (told["fold-0.epochs"], told["all.epochs"]) == (2, 7)
    assert len(told) == 2 * len(SMALL.as_json())


# ----- The table of recipes -----

LINEAR = small_recipe(epochs=0, pooling="average_max", hidden_units=(), start="logistic")
CHOICES = Choices(inner_folds=2, l2=[1.0, 0.1], epochs=[1])


def settings_of(recipe, found):
    return RECIPES[recipe].settings(Ingredients(SMALL, LINEAR, CHOICES, found, TUNING))


FOUND = {
    "split": "ab" * 32,
    "studies": {
        "fold-0": {"settings": {"epochs": 5, "hidden_units": [16, 4]}, "trials": 40},
        "fold-1": {"settings": {"learning_rate": 0.003}},
        "all": {"settings": {}},
    },
}


def test_the_published_recipe_is_the_papers_whatever_a_search_found():
    for found in (None, FOUND):
        assert settings_of("published", found) == Settings({EVERY: SMALL}, None)


def test_the_recommended_recipe_leaves_choices_to_each_fit():
    settings = settings_of("recommended", FOUND)
    assert settings == Settings({EVERY: LINEAR}, None, CHOICES)
    assert settings_from_json(json.loads(json.dumps(settings.as_json()))) == settings
    assert settings_params(settings).items() >= {"inner_folds": 2, "l2": [1.0, 0.1], "epochs": [1]}.items()


def test_finetuning_starts_from_the_recommended_recipe_and_its_choices():
    settings = settings_of("finetuned", FOUND)
    changed = {
        name for name, value in settings.of(0).as_json().items() if value != LINEAR.as_json()[name]
    }  # fmt: skip
    assert changed == {"epochs", "batch_size", "optimizer", "learning_rate", "dropout"}
    assert (settings.of(0).epochs, settings.of(REFIT).dropout) == (TUNING.epochs, TUNING.dropout)
    assert settings.choices == replace(CHOICES, epochs=[TUNING.epochs])
    assert settings_from_json(json.loads(json.dumps(settings.as_json()))) == settings
    told = settings_params(settings)
    assert told["augmentation.shift"] == TUNING.augmentation.shift and told["turns"] == TUNING.turns
    assert "finetuning" not in settings_of("recommended", FOUND).as_json()


def test_no_more_epochs_are_averaged_than_there_are():
    with pytest.raises(ValueError, match="averaged_epochs: expected at most 2"):
        replace(TUNING, averaged_epochs=3)


def test_what_a_recipe_starts_from_is_a_recipe():
    for entry in RECIPES.values():
        assert entry.within is None or entry.within in RECIPES
        assert importlib.util.find_spec(entry.module)


@pytest.mark.parametrize(
    "changes",
    [{"start": "logistic"}, {"epochs": 0}, {"start": "logistic", "pooling": "average_max"}],
)
def test_settings_that_contradict_each_other_are_refused(changes):
    with pytest.raises(ValueError, match=r"start|epochs"):
        small_recipe(**changes)
    with pytest.raises(ValidationError, match=r"start|epochs"):
        recipe_from_json({**SMALL.as_json(), **changes})


def test_a_search_says_what_is_different_from_the_default():
    settings = settings_of("searched", FOUND)
    assert settings.split == FOUND["split"]
    assert settings.of(0) == small_recipe(epochs=5, hidden_units=(16, 4))
    assert settings.of(1) == small_recipe(learning_rate=0.003)
    assert settings.of(REFIT) == SMALL
    assert set(settings.by_fit) == {"fold-0", "fold-1", "all"}


def test_a_search_that_is_not_there():
    with pytest.raises(UserError, match="no search of this cell") as caught:
        settings_of("searched", None)
    assert "make search" in caught.value.remedy


def test_a_search_that_does_not_say_its_split_is_refused():
    with pytest.raises(UserError, match="does not say on which split"):
        settings_of("searched", {"studies": FOUND["studies"]})


def test_a_search_that_found_what_is_no_setting_is_refused():
    studies = {"fold-0": {"settings": {"momentum": 0.9}}}
    with pytest.raises(UserError, match="momentum"):
        settings_of("searched", {"split": FOUND["split"], "studies": studies})


@pytest.mark.parametrize("studies", [None, [], {"fold-0": None}, {"fold-0": {"settings": None}}, 3, "fold-0"])
def test_a_search_in_another_layout_is_refused(studies):
    with pytest.raises(UserError, match="expected studies, each with its settings"):
        settings_of("searched", {"split": FOUND["split"], "studies": studies})


def test_settings_of_another_split_are_refused(tmp_path):
    split = tmp_path / "split.csv"
    split.write_text("image,fold\na,0\n")
    ours = hashlib.sha256(split.read_bytes()).hexdigest()
    require_split(Settings({EVERY: SMALL}, ours), split)
    require_split(Settings({EVERY: SMALL}, None), split)  # nobody looked at an image
    split.write_text("image,fold\na,1\n")
    with pytest.raises(UserError, match="searched on another split") as caught:
        require_split(Settings({EVERY: SMALL}, ours), split)
    assert ours in caught.value.problem
    assert str(split) in caught.value.problem
