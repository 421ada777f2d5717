"""params.yaml as one frozen, typed configuration.

No field has a default: every parameter stands in params.yaml, where DVC sees it. Nothing is computed here, so
the values a stage reads (its `params:` in dvc.yaml) say all that this module can do to its results.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lung_attention.data.catalog import DATASETS
from lung_attention.errors import UserError


def _known_dataset(name: str) -> str:
    if name not in DATASETS:
        raise ValueError(f"expected one of {list(DATASETS)}")
    return name


T = TypeVar("T", bound=Hashable)


def _all_different(values: list[T]) -> list[T]:
    if len(set(values)) < len(values):
        raise ValueError("expected no value twice")
    return values


# A design names each of its factors' values once; a seed given twice would count its images twice.
Distinct = Annotated[list[T], Field(min_length=1), AfterValidator(_all_different)]

DatasetId = Annotated[str, AfterValidator(_known_dataset)]
Backbone = Annotated[str, Field(pattern=r"^[a-z0-9]+$")]
Head = Literal["plain", "attention"]
Split = Literal["published", "grouped"]

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Pin = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Cosine = Annotated[float, Field(gt=0, le=1)]
Fraction = Annotated[float, Field(gt=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Download(_Section):
    """Where archives come from and what is verified about them."""

    source: Literal["embedded", "folder", "public"]
    check_counts: bool
    pins: dict[DatasetId, Pin | None]


class NoduleCrops(_Section):
    """Which nodules of LIDC-IDRI are cut out, and how.

    Attributes:
        min_readers: How many of the four radiologists must have outlined a nodule.
        benign_at_most: Up to this median malignancy rating (1-5, halves occur) a nodule counts as benign.
        malignant_at_least: From this median rating on it counts as malignant; those between are left out.
        max_patients: Only the first patients; null for all.
        slices: How many slices of a nodule at most, those nearest to its centre.
        size_mm: Edge of the square around the centre.
        size_px: Edge of the image that is made of it.
    """

    min_readers: Annotated[int, Field(ge=1, le=4)]
    benign_at_most: Annotated[float, Field(ge=1, le=5)]
    malignant_at_least: Annotated[float, Field(ge=1, le=5)]
    max_patients: Count | None
    slices: Count
    size_mm: Annotated[float, Field(gt=0, le=500)]
    size_px: Annotated[int, Field(ge=8, le=1024)]

    @model_validator(mode="after")
    def _no_nodule_is_both(self) -> NoduleCrops:
        if self.benign_at_most >= self.malignant_at_least:
            raise ValueError("benign_at_most: expected less than malignant_at_least")
        return self


class Rebuild(_Section):
    """How archives are cut from CT series: the grey window, and the nodules.

    Attributes:
        level_hu: Centre of the window.
        width_hu: Its width.
        nodules: For `lidc_nodules`.
    """

    level_hu: Annotated[float, Field(ge=-2000, le=5000)]
    width_hu: Annotated[float, Field(gt=1, le=10000)]
    nodules: NoduleCrops


class BackboneWeights(_Section):
    """Where backbone weights come from."""

    source: Literal["random", "folder", "public"]
    seed: Seed
    calibration_images: Annotated[int, Field(ge=0)]
    calibration_size_px: Annotated[int, Field(ge=32)]
    pins: dict[Backbone, Pin | None]


class PseudoGroups(_Section):
    """How pseudo-groups of IQ-OTH/NCCD slices are inferred."""

    strictness: Literal["thumbnails", "thumbnails_and_neighbours"]
    cosine: Cosine
    neighbour_cosine: Cosine


class SourceTiles(_Section):
    """How source tiles of LC25000 are inferred."""

    candidates: Count
    correlation: Cosine
    overlap_correlation: Cosine
    least_overlap: Cosine


class Grouping(_Section):
    """What must not stand on two sides of a split."""

    twin_cosine: Cosine
    pseudo_groups: PseudoGroups
    source_tiles: SourceTiles


class Auditing(_Section):
    """What counts as a near-duplicate, and where it counts as a leak."""

    near_duplicate_cosine: Cosine
    near_duplicates_leak: dict[DatasetId, bool]
    listed: Count


class Baselines(_Section):
    """The random forest on histograms."""

    seed: Seed
    trees: Count
    histogram_bins: Annotated[int, Field(ge=2)]


class Splitting(_Section):
    """The grouped protocol's folds, and the seed of every split that is drawn."""

    folds: Annotated[int, Field(ge=2)]
    seed: Seed


class Preprocessing(_Section):
    """From an image of any size to the backbone's input."""

    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]
    antialias: bool
    batch_size: Count
    image_size_px: dict[DatasetId, Annotated[int, Field(ge=32)]]


class Recipe(_Section):
    """How a head is built and fitted; the same for every cell."""

    epochs: Count
    batch_size: Count
    jit_compile: bool
    pooling: Literal["flatten", "average"]
    hidden_units: Annotated[list[Count], Field(min_length=1)]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    l2: Annotated[float, Field(ge=0)]
    attention_maps: Count
    attention_gamma: float
    attention_activation: Literal["relu", "linear"]


class Seeds(_Section):
    """The training seeds of each split; every seed of a grouped one means a fit a fold."""

    published: Distinct[Seed]
    grouped: Distinct[Seed]

    def of(self, split: str) -> list[int]:
        """Those of one split."""
        return {"published": self.published, "grouped": self.grouped}[split]


class Training(_Section):
    """The recipe, and what the published notebooks set for each dataset."""

    recipe: Recipe
    seeds: dict[DatasetId, Seeds]
    learning_rate: dict[DatasetId, dict[Backbone, Annotated[float, Field(gt=0)]]]


class Evaluation(_Section):
    """Bootstrap intervals and calibration bins."""

    resamples: Count
    confidence: Fraction
    calibration_bins: Count
    seed: Seed


class Range(_Section):
    """The numbers that a search may choose from."""

    low: float
    high: float
    log: bool
    step: Annotated[float, Field(gt=0)] | None

    @model_validator(mode="after")
    def _has_numbers(self) -> Range:
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("a logarithmic range begins above 0 and has no step")
        return self

    def holds(self, value: float) -> bool:
        """Whether a value is in the range; steps are not looked at."""
        return self.low <= value <= self.high


class SearchSpace(_Section):
    """What a search may change about a head and its fit; a list names the choices."""

    learning_rate: Range
    epochs: Range
    batch_size: Distinct[Count]
    hidden_layers: Distinct[Literal[1, 2]]
    hidden_units: Distinct[Count]
    pooling: Distinct[Literal["flatten", "average"]]
    dropout: Range
    l2: Distinct[Annotated[float, Field(ge=0)]]
    attention_maps: Range
    attention_gamma: Range
    attention_activation: Distinct[Literal["relu", "linear"]]


class Pruning(_Section):
    """When a trial that is worse than the median of the others is given up."""

    startup_trials: Count
    warmup_epochs: Annotated[int, Field(ge=0)]


class Search(_Section):
    """The nested search for the settings of a head; not part of `dvc repro`."""

    trials: Count
    time_budget_s: Annotated[float, Field(gt=0)] | None
    inner_folds: Annotated[int, Field(ge=2)]
    jit_compile: bool
    seed: Seed
    startup_trials: Count
    pruning: Pruning
    heartbeat_s: Count
    grace_s: Count
    space: SearchSpace


class Floors(_Section):
    """The balanced accuracy that a classifier has to exceed on each split."""

    published: Fraction
    grouped: Fraction


class DeclaredChange(_Section):
    """A change that the gate lets pass because somebody wants it."""

    cells: Distinct[Annotated[str, Field(min_length=1)]]
    change: Literal["missing", "images", "labels", "folds", "worse", "below_published"]
    reason: Annotated[str, Field(min_length=1)]


class Gating(_Section):
    """When a change of code or parameters makes a result worse.

    Attributes:
        margin: A loss up to this is none, in fractions of 1.
        confidence: One-sided.
        power: With which a loss called detectable would be detected.
        resamples: Of the bootstrap, and swaps of the permutation test.
        seed: Of both.
        training_sd: How far one training is luckier than another as a whole, in balanced accuracy.
        floors: What a classifier has to exceed whatever the reference says; at least a majority vote.
        declared: Wanted changes.
    """

    margin: Annotated[float, Field(ge=0, lt=1)]
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    power: Fraction
    resamples: Annotated[int, Field(ge=100)]
    seed: Seed
    training_sd: dict[DatasetId, Annotated[float, Field(ge=0, lt=1)]]
    floors: dict[DatasetId, Floors]
    declared: list[DeclaredChange]

    @model_validator(mode="after")
    def _floors_are_above_a_majority_vote(self) -> Gating:
        for dataset, floors in self.floors.items():
            least = 1 / len(DATASETS[dataset].classes)
            if min(floors.published, floors.grouped) < least:
                raise ValueError(f"floors.{dataset}: expected at least {least:.3f}, that of a majority vote")
        return self


class Profile(_Section):
    """One complete set of parameters.

    Attributes:
        stand_ins: Sentences that name what is not the real thing, shown wherever the figures appear.
        datasets: The datasets this profile has a source for.
        tolerance: How far scores may differ from committed ones of another CPU, in fractions of 1.
    """

    stand_ins: list[str]
    datasets: Distinct[DatasetId]
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


class Config(_Section):
    """The whole of params.yaml."""

    profile: str
    datasets: Distinct[DatasetId]
    backbones: Distinct[Backbone]
    heads: Distinct[Head]
    splits: Distinct[Split]
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


class _Loader(yaml.SafeLoader):
    """Reads 1e-05 as a number, as DVC writes it; PyYAML by itself takes it for text."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load_config(path: Path) -> Config:
    """Reads and validates params.yaml.

    Args:
        path: The file.

    Returns:
        The configuration.

    Raises:
        UserError: The file is missing, is no YAML, misses a key, holds an unknown one or a bad value.
    """
    return validate(read_values(path), path)


def read_values(path: Path) -> Any:
    """Reads params.yaml without looking at what it says.

    Raises:
        UserError: The file is missing or no YAML.
    """
    try:
        return parse_value(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", remedy="run in the folder of params.yaml") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}", remedy=f"mend {path}") from error


def parse_value(text: str | bytes) -> Any:
    """Reads YAML as DVC does."""
    return yaml.load(text, Loader=_Loader)


def validate(values: Any, path: Path) -> Config:
    """Makes the configuration of the values of a params.yaml.

    Args:
        values: What the file says.
        path: The file, for messages.

    Raises:
        UserError: A key is missing or unknown, or a value is bad.
    """
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in item['loc']) or 'params'}: {item['msg']}"
            + ("" if isinstance(item["input"], dict) else f" (received {item['input']!r})")
            for item in error.errors()
        ]
        raise UserError(f"{path}:\n  " + "\n  ".join(lines), remedy=f"mend these keys in {path}") from error
