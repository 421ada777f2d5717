"""The sections that the stages of the pipeline read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lung_attention.config.values import (
    Backbone,
    Cosine,
    Count,
    DatasetId,
    Distinct,
    Fraction,
    Pin,
    Section,
    Seed,
)


class Download(Section):
    """Where archives come from and what is verified about them."""

    source: Literal["embedded", "folder", "public"]
    check_counts: bool
    pins: dict[DatasetId, Pin | None]


class NoduleCrops(Section):
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


class Rebuild(Section):
    """How archives are cut from CT series: the grey window, and the nodules.

    Attributes:
        level_hu: Centre of the window.
        width_hu: Its width.
        nodules: For `lidc_nodules`.
    """

    level_hu: Annotated[float, Field(ge=-2000, le=5000)]
    width_hu: Annotated[float, Field(gt=1, le=10000)]
    nodules: NoduleCrops


class BackboneWeights(Section):
    """Where backbone weights come from."""

    source: Literal["random", "folder", "public"]
    seed: Seed
    calibration_images: Annotated[int, Field(ge=0)]
    calibration_size_px: Annotated[int, Field(ge=32)]
    pins: dict[Backbone, Pin | None]


class PseudoGroups(Section):
    """How pseudo-groups of IQ-OTH/NCCD slices are inferred."""

    strictness: Literal["thumbnails", "thumbnails_and_neighbours"]
    cosine: Cosine
    neighbour_cosine: Cosine


class SourceTiles(Section):
    """How source tiles of LC25000 are inferred."""

    candidates: Count
    correlation: Cosine
    overlap_correlation: Cosine
    least_overlap: Cosine


class Grouping(Section):
    """What must not stand on two sides of a split."""

    twin_cosine: Cosine
    pseudo_groups: PseudoGroups
    source_tiles: SourceTiles


class Auditing(Section):
    """What counts as a near-duplicate, and where it counts as a leak."""

    near_duplicate_cosine: Cosine
    near_duplicates_leak: dict[DatasetId, bool]
    listed: Count


class Baselines(Section):
    """The random forest on histograms."""

    seed: Seed
    trees: Count
    histogram_bins: Annotated[int, Field(ge=2)]


class Splitting(Section):
    """The grouped protocol's folds, and the seed of every split that is drawn."""

    folds: Annotated[int, Field(ge=2)]
    seed: Seed


class Preprocessing(Section):
    """From an image of any size to the backbone's input."""

    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]
    antialias: bool
    batch_size: Count
    image_size_px: dict[DatasetId, Annotated[int, Field(ge=32)]]


class Recipe(Section):
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


class Seeds(Section):
    """The training seeds of each split; every seed of a grouped one means a fit a fold."""

    published: Distinct[Seed]
    grouped: Distinct[Seed]

    def of(self, split: str) -> list[int]:
        """Those of one split."""
        return {"published": self.published, "grouped": self.grouped}[split]


class Training(Section):
    """The recipe, and what the published notebooks set for each dataset."""

    recipe: Recipe
    seeds: dict[DatasetId, Seeds]
    learning_rate: dict[DatasetId, dict[Backbone, Annotated[float, Field(gt=0)]]]


class Evaluation(Section):
    """Bootstrap intervals and calibration bins."""

    resamples: Count
    confidence: Fraction
    calibration_bins: Count
    seed: Seed
