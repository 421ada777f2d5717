"""All that one fit of a head needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lung_attention.config import Recipe


@dataclass(frozen=True)
class Settings:
    """All that a fit of a head needs.

    Attributes:
        recipe: How the head is built and fitted.
        learning_rate: Of Adam.
    """

    recipe: Recipe
    learning_rate: float

    def as_json(self) -> dict[str, Any]:
        """The settings as plain values, the recipe's beside the learning rate."""
        return {**self.recipe.model_dump(), "learning_rate": self.learning_rate}


def settings_from_json(values: Mapping[str, Any]) -> Settings:
    """Reads what `Settings.as_json` wrote."""
    recipe = {key: value for key, value in values.items() if key != "learning_rate"}
    return Settings(Recipe.model_validate(recipe), float(values["learning_rate"]))
