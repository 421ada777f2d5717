"""Further fits are those that the training of the cell makes."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from small_recipe import small_recipe

from lung_attention.cells import Cell
from lung_attention.explain.refits import can_be_refitted, other_seeds, refits
from lung_attention.splits.grouped import CROSS_VALIDATION
from lung_attention.training.fits import Material
from lung_attention.training.recipe import EVERY, Choices, Settings
from lung_attention.training.recipes import fit_by

CLASSES = ["benign", "malignant"]
CELL = Cell("lidc", "mobilenetv2", "attention", "published", "published")
RECIPES = {
    "published": Settings({EVERY: small_recipe()}, None),
    "recommended": Settings(
        {EVERY: small_recipe(pooling="average_max", hidden_units=(), start="logistic", epochs=0)},
        None,
        Choices(inner_folds=2, l2=[0.3, 0.01], epochs=[1]),
    ),
}


@pytest.fixture(scope="module")
def given():
    """Features of 40 images and their split, in which the last ten are tested."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = rng.normal(size=(40, 3, 3, 4)) + labels[:, None, None, None]
    table = pd.DataFrame(
        {
            "image": [f"{number}.png" for number in range(40)],
            "label": [CLASSES[label] for label in labels],
            "group": "",
            "fold": 0,
            "subset": ["train"] * 30 + ["test"] * 10,
        }
    )
    return features.astype(np.float16), table


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_refit_is_the_fit_that_the_training_makes_with_that_seed(given, recipe):
    features, table = given
    settings = RECIPES[recipe]
    cell = replace(CELL, recipe=recipe)
    content = {**settings.as_json(), "seeds": [3, 7], "classes": CLASSES}
    (head,) = refits(cell, features, table, content, wanted=1)
    made = fit_by(recipe, Material(features, table, CLASSES, settings, "attention", [3, 7]), lambda *_: None)
    of_seed = made.predictions[made.predictions["seed"] == 7]
    found = np.asarray(head(features[30:].astype(np.float32)))
    assert found[:, 0] == pytest.approx(of_seed["probability_benign"].to_numpy(), abs=1e-5)
    kept = np.asarray(made.head(features[30:].astype(np.float32)))
    assert np.abs(found - kept).max() > 1e-4


def test_seeds_of_the_cell_come_first_and_never_that_of_the_kept_model():
    assert other_seeds([0, 1, 2], 2) == [1, 2]
    assert other_seeds([0], 2) == [1, 2]
    assert other_seeds([5, 3], 3) == [3, 6, 7]


def test_what_would_cost_more_than_one_head_is_not_refitted(given):
    _, table = given
    assert can_be_refitted(CELL, table)
    assert not can_be_refitted(replace(CELL, recipe="finetuned"), table)
    assert not can_be_refitted(replace(CELL, split="grouped"), table.assign(subset=CROSS_VALIDATION))
