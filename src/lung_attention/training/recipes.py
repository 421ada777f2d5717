"""Recipes by name: how each comes to the settings of a cell, and the module that fits it.

A module is imported when it is used, so that the configuration can look at the table without TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from lung_attention.errors import UserError
from lung_attention.training.finetuning import Finetuning
from lung_attention.training.recipe import EVERY, Choices, Recipe, Settings, recipe_from_json

if TYPE_CHECKING:
    from lung_attention.training.fits import FittedCell, Material
    from lung_attention.training.progress import EpochReport


@dataclass(frozen=True)
class Ingredients:
    """What recipes come to their settings from.

    Attributes:
        default: The settings of the paper.
        recommended: Those of the recommended recipe, before anything is chosen.
        choices: Among what it chooses.
        found: What a search of the cell found; None where there was none.
        finetuning: How the recipe `finetuned` fits the last layers of a backbone.
    """

    default: Recipe
    recommended: Recipe
    choices: Choices
    found: Mapping[str, Any] | None
    finetuning: Finetuning


@dataclass(frozen=True)
class RecipeEntry:
    """A recipe.

    Attributes:
        settings: From the ingredients to the settings of a cell.
        module: Whose function `fit` makes all fits of a cell.
        repeated: Whether each of its seeds has a partition of its own, where the split is drawn.
        within: The recipe whose view it looks at, so that this one's part of the design has to cover
            its own; None for those of all.
        images: Whether it is fitted on images, too, not on features alone.
    """

    settings: Callable[[Ingredients], Settings]
    module: str
    repeated: bool
    within: str | None = None
    images: bool = False


def _published(given: Ingredients) -> Settings:
    return Settings({EVERY: given.default}, None)


def _searched(given: Ingredients) -> Settings:
    """Each fold has the settings that its own study chose on its training groups."""
    found = given.found
    if found is None:
        raise UserError("no search of this cell is there", remedy="make search")
    if not isinstance(found, Mapping) or not isinstance(found.get("split"), str):
        raise UserError(
            "the search does not say on which split it was, so it may have seen test images of this one",
            remedy="search again",
        )
    try:
        chosen = {
            name: recipe_from_json({**given.default.as_json(), **study["settings"]})
            for name, study in found["studies"].items()
        }
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{place or 'settings'}: {first['msg']} (received {first['input']!r:.200})", remedy="search again"
        ) from error
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise UserError(
            f"expected studies, each with its settings by name ({type(error).__name__}: {error})",
            remedy="search again",
        ) from error
    return Settings(chosen, found["split"])


def _recommended(given: Ingredients) -> Settings:
    return Settings({EVERY: given.recommended}, None, given.choices)


def _finetuned(given: Ingredients) -> Settings:
    """The head of the recommended recipe, with what is different where it is fitted with the backbone."""
    tuning = given.finetuning
    recipe = replace(
        given.recommended,
        epochs=tuning.epochs,
        batch_size=tuning.batch_size,
        optimizer="adamw",
        learning_rate=tuning.learning_rate,
        dropout=tuning.dropout,
        jit_compile=tuning.jit_compile,
    )
    return Settings({EVERY: recipe}, None, replace(given.choices, epochs=[tuning.epochs]), tuning)


RECIPES: dict[str, RecipeEntry] = {
    "published": RecipeEntry(_published, "lung_attention.training.fits", repeated=False),
    "searched": RecipeEntry(_searched, "lung_attention.training.fits", repeated=False, within="recommended"),
    "recommended": RecipeEntry(_recommended, "lung_attention.training.recommended", repeated=True),
    "finetuned": RecipeEntry(
        _finetuned, "lung_attention.training.finetuned", repeated=True, within="recommended", images=True
    ),
}
"""The recipes, the published one first."""


def fit_by(recipe: str, material: Material, on_epoch: EpochReport) -> FittedCell:
    """Makes all fits of a cell.

    Args:
        recipe: A key of `RECIPES`.
        material: What the fits are given.
        on_epoch: Receives seed, fold, epoch and the epoch's values.

    Returns:
        The kept model, out-of-sample predictions, and learning curves.
    """
    fitted: FittedCell = import_module(RECIPES[recipe].module).fit(material, on_epoch)
    return fitted
