"""Recipes by name: how each comes to the settings of a cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lung_attention.errors import UserError
from lung_attention.training.recipe import EVERY, Recipe, Settings, recipe_from_json


def _published(default: Recipe, _: Mapping[str, Any] | None) -> Settings:
    return Settings({EVERY: default}, None)


def _searched(default: Recipe, found: Mapping[str, Any] | None) -> Settings:
    """Each fold has the settings that its own study chose on its training groups."""
    if found is None:
        raise UserError("no search of this cell is there", remedy="make search")
    if "split" not in found:
        raise UserError(
            "the search does not say on which split it was, so it may have seen test images of this one",
            remedy="search again",
        )
    chosen = {
        name: recipe_from_json({**default.as_json(), **study["settings"]})
        for name, study in found["studies"].items()
    }
    return Settings(chosen, found["split"])


RECIPES: dict[str, Callable[[Recipe, Mapping[str, Any] | None], Settings]] = {
    "published": _published,
    "searched": _searched,
}
"""How each recipe comes to its settings: from those of the paper, and from what a search found."""
