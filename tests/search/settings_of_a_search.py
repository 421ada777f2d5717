"""A small search on toy features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from small_recipe import TUNING

from lung_attention.config import Search, SearchSpace
from lung_attention.training.recipe import Choices, Recipe, Settings, recipe_from_json
from lung_attention.training.recipes import RECIPES, Ingredients

CLASSES = ("normal", "malignant")


def _range(low: float, high: float, *, log: bool = True) -> dict[str, Any]:
    return {"low": low, "high": high, "log": log, "step": None if log else 0.1}


SPACE = SearchSpace.model_validate(
    {
        "view": ["whole", "close"],
        "learning_rate": _range(1e-4, 0.3),
        "epochs": _range(1, 4),
        "further_epochs": {"low": 0, "high": 2, "log": False, "step": None},
        "batch_size": [8, 16],
        "hidden_layers": [0, 1, 2],
        "hidden_units": [2, 4],
        "pooling": ["flatten", "average", "average_max"],
        "dropout": _range(0.0, 0.5, log=False),
        "l2": [0.0, 0.001, 0.1],
        "regression_l2": [0.001, 0.01, 0.1],
        "attention_maps": _range(1, 4),
        "attention_gamma": _range(0.001, 1.0),
        "attention_activation": ["relu", "linear"],
    }
)

DEFAULT = Recipe(
    view="whole", epochs=2, batch_size=8, optimizer="adam", learning_rate=0.01, class_weights="none",
    jit_compile=False, pooling="flatten", hidden_units=(4,), dropout=0.0, l2=0.001, start="random",
    attention_maps=2, attention_gamma=0.01, attention_activation="relu",
)  # fmt: skip

SEARCH = Search.model_validate(
    {
        "objective": "log_loss", "trials": 3, "time_budget_s": None, "inner_folds": 2,
        "jit_compile": False, "seed": 5, "startup_trials": 1,
        "pruning": {"startup_trials": 2, "warmup_epochs": 1, "patience_epochs": 1},
        "heartbeat_s": 1, "grace_s": 4, "space": SPACE.model_dump(),
    }
)  # fmt: skip


def searched_settings(found: dict[str, Any]) -> Settings:
    """What the recipe `searched` makes of what a search found."""
    choices = Choices(inner_folds=2, l2=[1.0], epochs=[1])
    return RECIPES["searched"].settings(Ingredients(DEFAULT, DEFAULT, choices, found, TUNING))


def changed(recipe: Recipe, **values: Any) -> Recipe:
    """The same settings but for some of their values."""
    return recipe_from_json({**recipe.as_json(), **values})


def toy() -> tuple[np.ndarray, pd.DataFrame]:
    """Features that a head can tell apart, and a grouped split of two folds with two images a group."""
    random = np.random.default_rng(0)
    n = 48
    group = np.arange(n) // 2
    label = group % 2
    features = random.normal(size=(n, 2, 2, 3)) + 0.7 * label[:, None, None, None]
    table = pd.DataFrame(
        {
            "image": [f"{number}.png" for number in range(n)],
            "label": np.asarray(CLASSES)[label],
            "group": [f"g{number}" for number in group],
            "fold": group // 2 % 2,
            "subset": "cross_validation",
        }
    )
    return features.astype(np.float16), table


def views_of(features: np.ndarray) -> dict[str, np.ndarray]:
    """What a search may choose to look at: all of the features, or the upper half of them."""
    return {"whole": features, "close": features[:, :1]}
