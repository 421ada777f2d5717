"""From a trial's parameters to the settings of a head, and back."""

from __future__ import annotations

from typing import Any

from optuna.trial import BaseTrial

from lung_attention.config import Range, SearchSpace
from lung_attention.errors import UserError
from lung_attention.training.recipe import Recipe, recipe_from_json

Parameters = dict[str, Any]

# Epochs and penalty have other ranges for a head that starts from its regression.
_OF_REGRESSION, _OF_RANDOM_START = ("further_epochs", "regression_l2"), ("epochs", "l2")
_ATTENTION = ("attention_maps", "attention_gamma", "attention_activation")


def suggest(trial: BaseTrial, space: SearchSpace, default: Recipe, *, attention: bool) -> Recipe:
    """Asks a trial for its settings.

    The width of a layer is asked for only where there is one, the penalty of a regression and the epochs
    beyond it only for a linear head that starts from one, and the attention's parameters only for a head with
    attention.

    Args:
        trial: Running, or fixed; it says the value of each parameter.
        space: What is searched.
        default: Where what is not searched comes from.
        attention: Whether the head has the soft attention.

    Returns:
        The trial's settings.
    """
    layers = int(trial.suggest_categorical("hidden_layers", space.hidden_layers))
    pooling = trial.suggest_categorical("pooling", space.pooling)
    regression = layers == 0 and pooling == "average_max"
    epochs, l2 = _OF_REGRESSION if regression else _OF_RANDOM_START
    chosen: Parameters = {
        "view": trial.suggest_categorical("view", space.view),
        "start": "logistic" if regression else "random",
        "epochs": _int(trial, epochs, getattr(space, epochs)),
        "batch_size": trial.suggest_categorical("batch_size", space.batch_size),
        "pooling": pooling,
        "dropout": _float(trial, "dropout", space.dropout),
        "l2": trial.suggest_categorical(l2, getattr(space, l2)),
        "hidden_units": [
            trial.suggest_categorical(f"hidden_units_{number}", space.hidden_units)
            for number in range(1, layers + 1)
        ],
    }
    if attention:
        chosen |= {
            "attention_maps": _int(trial, "attention_maps", space.attention_maps),
            "attention_gamma": _float(trial, "attention_gamma", space.attention_gamma),
            "attention_activation": trial.suggest_categorical(
                "attention_activation", space.attention_activation
            ),
        }
    chosen["learning_rate"] = _float(trial, "learning_rate", space.learning_rate)
    return recipe_from_json({**default.as_json(), **chosen})


def parameters_of(settings: Recipe, space: SearchSpace, *, attention: bool) -> Parameters:
    """The parameters of a trial that has these settings: the inverse of `suggest`.

    Args:
        settings: Of a head.
        space: What is searched.
        attention: Whether the head has the soft attention.

    Returns:
        A value of every parameter that `suggest` asks for.

    Raises:
        UserError: The space does not hold the settings.
    """
    recipe = settings.as_json()
    epochs, l2 = _OF_REGRESSION if settings.start == "logistic" else _OF_RANDOM_START
    parameters: Parameters = {
        "hidden_layers": len(settings.hidden_units),
        **{f"hidden_units_{number}": units for number, units in enumerate(recipe["hidden_units"], start=1)},
        epochs: settings.epochs,
        l2: settings.l2,
        **{name: recipe[name] for name in ("view", "batch_size", "pooling", "dropout", "learning_rate")},
    }
    if attention:
        parameters |= {name: recipe[name] for name in _ATTENTION}
    for name, value in parameters.items():
        of_space = getattr(space, "hidden_units" if name.startswith("hidden_units") else name)
        inside = of_space.holds(value) if isinstance(of_space, Range) else value in of_space
        if not inside:
            raise UserError(
                f"search.space.{name} does not hold the value of the recommended recipe, {value!r}",
                remedy="widen it in params.yaml: every study begins with the recommended settings",
            )
    return parameters


def _float(trial: BaseTrial, name: str, of: Range) -> float:
    return float(trial.suggest_float(name, of.low, of.high, log=of.log, step=of.step))


def _int(trial: BaseTrial, name: str, of: Range) -> int:
    return int(trial.suggest_int(name, int(of.low), int(of.high), log=of.log, step=int(of.step or 1)))
