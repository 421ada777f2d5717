"""A profile, and the whole of params.yaml with the datasets' files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from lung_attention.cells import PUBLISHED, Cell, design
from lung_attention.config.beside import Gating, Search, TrainingSd
from lung_attention.config.datasets import Dataset, DatasetName
from lung_attention.config.stages import (
    Auditing,
    BackboneWeights,
    Download,
    Evaluation,
    Explaining,
    Leaving,
    Preprocessing,
    Rebuild,
    Sensitivity,
    Splitting,
    Training,
)
from lung_attention.config.values import (
    Backbone,
    Distinct,
    Fraction,
    Head,
    RecipeName,
    Section,
    Split,
    Unique,
)
from lung_attention.errors import UserError
from lung_attention.evaluation.baselines.settings import BaselineSettings
from lung_attention.images.view import View
from lung_attention.training.recipe import Recipe
from lung_attention.training.recipes import RECIPES, Ingredients

CLOSE = "close"
"""The view that each dataset's file describes."""


class Part(Section):
    """A part of the design: every combination of these; an empty list means no cell."""

    datasets: Unique[DatasetName]
    backbones: Unique[Backbone]
    heads: Unique[Head]
    splits: Unique[Split]


class Searching(Section):
    """The heads whose settings are searched, in the copy that `make search` runs in; none elsewhere."""

    datasets: Unique[DatasetName]
    backbones: Unique[Backbone]
    heads: Unique[Head]


class Explained(Part):
    """The cells of which it is looked at where they look."""

    recipes: Unique[RecipeName]

    def cells(self) -> Iterator[Cell]:
        """Yields them."""
        yield from design(self.datasets, self.backbones, self.heads, self.recipes, self.splits)


def _of_each_other_recipe(further: dict[str, Part]) -> dict[str, Part]:
    others = [recipe for recipe in RECIPES if recipe != PUBLISHED]
    if set(further) != set(others):
        raise ValueError(f"expected a part of the design for each of {', '.join(others)}")
    for recipe, part in further.items():
        within = RECIPES[recipe].within
        if within is None or not all(values for _, values in part):
            continue
        for factor in ("datasets", "backbones"):
            there = getattr(further[within], factor)
            if uncovered := [value for value in getattr(part, factor) if value not in there]:
                raise ValueError(
                    f"{recipe}.{factor}: {uncovered} not among {within}.{factor}, whose view it looks at"
                )
    return further


Further = Annotated[dict[str, Part], AfterValidator(_of_each_other_recipe)]
"""The part of the design on which each recipe but the published one runs."""


class Profile(Section):
    """One complete set of parameters: what all profiles share, and in its place what this one says.

    Attributes:
        stand_ins: Sentences that name what is not the real thing, shown wherever the scores appear.
        datasets: The datasets that `make repro PROFILE=…` runs.
        further: The cells of further recipes that it runs, too, where the matrix covers them, by recipe.
        explained: The cells of which it looks at where they look.
        tolerance: How far scores may differ from committed ones of another CPU, in fractions of 1.
    """

    stand_ins: list[str]
    datasets: Distinct[DatasetName]
    further: Further
    explained: Explained
    tolerance: Fraction
    download: Download
    rebuild: Rebuild
    backbone: BackboneWeights
    split: Splitting
    audit: Auditing
    baseline: BaselineSettings
    preprocess: Preprocessing
    train: Training
    sensitivity: Sensitivity
    evaluate: Evaluation
    explain: Explaining
    export: Leaving
    gate: Gating
    search: Search

    def view(self, dataset: Dataset, name: str) -> tuple[View, int]:
        """What networks are shown of a dataset's images, and the side of the square that it becomes."""
        size = self.preprocess.image_size_px
        if name == CLOSE:
            return dataset.close_view.view, size or dataset.close_view.image_size_px
        return self.preprocess.views[name], size or dataset.image_size_px

    def seeds(self, dataset: Dataset, split: str) -> list[int]:
        """The training seeds of a dataset on a split, of recipes that are not repeated."""
        ours = self.train.seeds
        single = {str(name): seeds for name, seeds in ours.of.get(dataset.id, {}).items()}
        of_profile: list[int] | None = getattr(ours, split)
        of_dataset: list[int] = getattr(dataset.seeds, split)
        return single.get(split) or of_profile or of_dataset

    def recipe(self, dataset: Dataset, backbone: str) -> Recipe:
        """The published recipe, with the learning rate that the paper gives for a dataset and backbone."""
        recipe = self.train.recipe
        rate = dataset.learning_rates.get(backbone)
        return recipe if rate is None else recipe.with_learning_rate(rate)

    def ingredients(
        self, dataset: Dataset, backbone: str, found: Mapping[str, Any] | None
    ) -> Ingredients:  # fmt: skip
        """What recipes come to the settings of a cell from, with what a search of it found."""
        recommended = self.train.recommended
        return Ingredients(
            self.recipe(dataset, backbone),
            recommended.recipe,
            recommended.choices,
            found,
            self.train.finetuned.settings,
        )

    def training_sd(self, dataset: Dataset) -> TrainingSd:
        """How far one training on a dataset is luckier than another, for the gate."""
        return dataset.training_sd if self.gate.training_sd is None else self.gate.training_sd


class Config(Section):
    """The whole of params.yaml, and of the datasets' files beside it."""

    profile: str
    datasets: Distinct[DatasetName]
    backbones: Distinct[Backbone]
    heads: Distinct[Head]
    splits: Distinct[Split]
    views: Distinct[str]
    further: Further
    explained: Explained
    searching: Searching
    profiles: dict[str, Profile]
    catalog: Annotated[dict[str, Dataset], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_consistent(self) -> Config:
        if self.profile not in self.profiles:
            raise ValueError(f"profile: expected one of {sorted(self.profiles)}, received {self.profile!r}")
        named = {"datasets": self.datasets}
        for name, profile in self.profiles.items():
            named[f"profiles.{name}.datasets"] = profile.datasets
            named[f"profiles.{name}.train.seeds.of"] = list(profile.train.seeds.of)
            named[f"profiles.{name}.download.checksums"] = list(profile.download.checksums)
        for key, datasets in named.items():
            if unknown := [dataset for dataset in datasets if dataset not in self.catalog]:
                raise ValueError(
                    f"{key}: no file datasets/{unknown[0]}.yaml; there are {', '.join(self.catalog)} "
                    f"(make one: lung-attention dataset new {unknown[0]} --from FOLDER)"
                )
        for recipe, part in self.further.items():
            for factor, values in part:
                if uncovered := [value for value in values if value not in getattr(self, factor)]:
                    raise ValueError(f"further.{recipe}.{factor}: the matrix has no {uncovered}")
        covered = set(self.cells())
        for cell in self.explained.cells():
            if cell not in covered:
                raise ValueError(f"explained: the matrix has no {cell.name}")
        for name, profile in self.profiles.items():
            if not profile.stand_ins and profile.download.source == "embedded":
                raise ValueError(
                    f"profiles.{name}: stand_ins: the embedded images are drawn by a program; expected a "
                    "sentence that says so"
                )
            if not profile.stand_ins and profile.backbone.source == "random":
                raise ValueError(f"profiles.{name}: stand_ins: expected a sentence on the random backbones")
            if CLOSE in profile.preprocess.views:
                raise ValueError(f"profiles.{name}: preprocess.views: {CLOSE!r} is each dataset's own")
            of_recipes = {
                "recipe": profile.train.recipe,
                "recommended.recipe": profile.train.recommended.recipe,
            }
            for key, settings in of_recipes.items():
                if settings.view not in (*profile.preprocess.views, CLOSE):
                    raise ValueError(
                        f"profiles.{name}: train.{key}.view: preprocess.views has no {settings.view!r}"
                    )
        if absent := [view for view in self.views if view not in self.active.preprocess.views]:
            raise ValueError(f"views: preprocess.views has no {absent}")
        if absent := [view for view in self.active.search.space.view if view not in (*self.views, CLOSE)]:
            raise ValueError(f"search.space.view: {absent} not among views")
        if (view := self.active.train.recipe.view) not in self.views:
            raise ValueError(f"views: train.recipe.view is {view!r}, which is not among them")
        return self

    @property
    def active(self) -> Profile:
        """The profile in use."""
        return self.profiles[self.profile]

    def dataset(self, name: str) -> Dataset:
        """A dataset by its name.

        Raises:
            UserError: No file describes it.
        """
        if name not in self.catalog:
            raise UserError(
                f"dataset: expected one of {', '.join(self.catalog)}, received {name!r}",
                remedy=f"make its file: lung-attention dataset new {name} --from FOLDER",
            )
        return self.catalog[name]

    @property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Class names in label order, by dataset."""
        return {name: dataset.labels for name, dataset in self.catalog.items()}

    def cells(self) -> Iterator[Cell]:
        """Yields the cells of the design, those of further recipes last."""
        yield from design(self.datasets, self.backbones, self.heads, [PUBLISHED], self.splits)
        for recipe, part in self.further.items():
            yield from design(part.datasets, part.backbones, part.heads, [recipe], part.splits)
