"""A profile, and the whole of params.yaml with the datasets' files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from lung_attention.cells import Cell, design
from lung_attention.config.beside import Gating, Search, TrainingSd
from lung_attention.config.datasets import Dataset, DatasetName
from lung_attention.config.stages import (
    Auditing,
    BackboneWeights,
    Download,
    Evaluation,
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
from lung_attention.training.recipe import Recipe


class Further(Section):
    """Cells of further recipes: every combination of these; an empty list means none."""

    datasets: Unique[DatasetName]
    backbones: Unique[Backbone]
    heads: Unique[Head]
    recipes: Unique[RecipeName]
    splits: Unique[Split]


class Profile(Section):
    """One complete set of parameters: what all profiles share, and in its place what this one says.

    Attributes:
        stand_ins: Sentences that name what is not the real thing, shown wherever the scores appear.
        datasets: The datasets that `make repro PROFILE=…` runs.
        further: The cells of further recipes that it runs, too, where the matrix covers them.
        tolerance: How far scores may differ from committed ones of another CPU, in fractions of 1.
    """

    stand_ins: list[str]
    datasets: Distinct[DatasetName]
    further: Further
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
    gate: Gating
    search: Search

    def image_size_px(self, dataset: Dataset) -> int:
        """Side of the square that networks see of a dataset's images."""
        return self.preprocess.image_size_px or dataset.image_size_px

    def seeds(self, dataset: Dataset, split: str) -> list[int]:
        """The training seeds of a dataset on a split."""
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

    def training_sd(self, dataset: Dataset) -> TrainingSd:
        """How far one training on a dataset is luckier than another, for the gate."""
        return dataset.training_sd if self.gate.training_sd is None else self.gate.training_sd


class Config(Section):
    """The whole of params.yaml, and of the datasets' files beside it."""

    profile: str
    datasets: Distinct[DatasetName]
    backbones: Distinct[Backbone]
    heads: Distinct[Head]
    recipes: Distinct[RecipeName]
    splits: Distinct[Split]
    views: Distinct[str]
    further: Further
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
        for factor, values in self.further:
            if factor == "recipes":
                if both := set(values) & set(self.recipes):
                    raise ValueError(f"further.recipes: {sorted(both)} stand in recipes, too")
            elif uncovered := [value for value in values if value not in getattr(self, factor)]:
                raise ValueError(f"further.{factor}: the matrix has no {uncovered}")
        for name, profile in self.profiles.items():
            view = profile.train.recipe.view
            if view not in profile.preprocess.views:
                raise ValueError(f"profiles.{name}: train.recipe.view: preprocess.views has no {view!r}")
        if absent := [view for view in self.views if view not in self.active.preprocess.views]:
            raise ValueError(f"views: preprocess.views has no {absent}")
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
        yield from design(self.datasets, self.backbones, self.heads, self.recipes, self.splits)
        more = self.further
        yield from design(more.datasets, more.backbones, more.heads, more.recipes, more.splits)
