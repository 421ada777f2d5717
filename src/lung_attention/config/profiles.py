"""A profile, and the whole of params.yaml."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import model_validator

from lung_attention.config.beside import Gating, Search
from lung_attention.config.stages import (
    Auditing,
    BackboneWeights,
    Baselines,
    Download,
    Evaluation,
    Grouping,
    Preprocessing,
    Rebuild,
    Splitting,
    Training,
)
from lung_attention.config.values import (
    Backbone,
    DatasetId,
    Distinct,
    Fraction,
    Head,
    Section,
    Split,
    Unique,
)


class Tuned(Section):
    """The cells of the grouped split that are also trained with settings that `make search` found.

    Every combination counts; an empty list means none.
    """

    datasets: Unique[DatasetId]
    backbones: Unique[Backbone]
    heads: Unique[Head]


class Profile(Section):
    """One complete set of parameters.

    Attributes:
        stand_ins: Sentences that name what is not the real thing, shown wherever the figures appear.
        datasets: The datasets this profile has a source for.
        tuned: What `make repro PROFILE=…` trains with found settings, too, where the matrix covers it.
        tolerance: How far scores may differ from committed ones of another CPU, in fractions of 1.
    """

    stand_ins: list[str]
    datasets: Distinct[DatasetId]
    tuned: Tuned
    tolerance: Fraction
    download: Download
    rebuild: Rebuild
    backbone: BackboneWeights
    group: Grouping
    split: Splitting
    audit: Auditing
    baseline: Baselines
    preprocess: Preprocessing
    train: Training
    evaluate: Evaluation
    gate: Gating
    search: Search

    def by_dataset(self) -> dict[str, Collection[str]]:
        """The datasets of every section that has a value for each; keys as in params.yaml."""
        return {
            "download.pins": self.download.pins,
            "audit.near_duplicates_leak": self.audit.near_duplicates_leak,
            "preprocess.image_size_px": self.preprocess.image_size_px,
            "train.seeds": self.train.seeds,
            "train.learning_rate": self.train.learning_rate,
            "gate.training_sd": self.gate.training_sd,
            "gate.floors": self.gate.floors,
        }


class Config(Section):
    """The whole of params.yaml."""

    profile: str
    datasets: Distinct[DatasetId]
    backbones: Distinct[Backbone]
    heads: Distinct[Head]
    splits: Distinct[Split]
    tuned: Tuned
    profiles: dict[str, Profile]

    @model_validator(mode="after")
    def _profile_covers_the_matrix(self) -> Config:
        if self.profile not in self.profiles:
            raise ValueError(f"profile: expected one of {sorted(self.profiles)}, received {self.profile!r}")
        for name, profile in self.profiles.items():
            for key, values in profile.by_dataset().items():
                if absent := [dataset for dataset in profile.datasets if dataset not in values]:
                    raise ValueError(f"profiles.{name}.{key}: no value for {absent}")
            for dataset, rates in profile.train.learning_rate.items():
                if unknown := set(rates) ^ set(profile.backbone.pins):
                    raise ValueError(
                        f"profiles.{name}: {sorted(unknown)} stand in only one of backbone.pins and "
                        f"train.learning_rate.{dataset}"
                    )
        if unknown := set(self.backbones) - set(self.active.backbone.pins):
            raise ValueError(f"backbones: profile {self.profile!r} has no settings for {sorted(unknown)}")
        for factor, values in self.tuned:
            if uncovered := [value for value in values if value not in getattr(self, factor)]:
                raise ValueError(f"tuned.{factor}: the matrix has no {uncovered}")
        if self.tuned.datasets and "grouped" not in self.splits:
            raise ValueError("tuned: searches are nested in the grouped split, which splits does not name")
        missing = [name for name in self.datasets if name not in self.active.datasets]
        if missing:
            raise ValueError(
                f"datasets: profile {self.profile!r} has no source for {missing}; "
                f"it covers {self.active.datasets}"
            )
        return self

    @property
    def active(self) -> Profile:
        """The profile in use."""
        return self.profiles[self.profile]
