"""The sections that the stages of the pipeline read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from lung_attention.audit.settings import ShortcutTest
from lung_attention.config.values import (
    Backbone,
    Checksum,
    Confidence,
    Cosine,
    Count,
    Distinct,
    Folds,
    Fraction,
    Resamples,
    Section,
    Seed,
    SizePx,
    Split,
    Window,
)
from lung_attention.images.view import View
from lung_attention.training.finetuning import Finetuning
from lung_attention.training.recipe import Choices, Recipe


class Download(Section):
    """Where archives come from and what is verified about them.

    Attributes:
        source: `embedded` (the sample), `folder` ($LUNG_ATTENTION_ARCHIVES) or `public` (what was fetched).
        check_counts: Whether each class must have as many images as the release.
        checksums: The SHA-256 that the source archive of a dataset must have, as far as given.
    """

    source: Literal["embedded", "folder", "public"]
    check_counts: bool
    checksums: dict[str, Checksum]


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


class Rebuild(Window):
    """How archives are cut from CT series: the grey window, and the nodules.

    Attributes:
        nodules: For the nodule crops.
    """

    nodules: NoduleCrops


class BackboneWeights(Section):
    """Where backbone weights come from."""

    source: Literal["random", "folder", "public"]
    seed: Seed
    calibration_images: Annotated[int, Field(ge=0, le=10_000)]
    calibration_size_px: SizePx
    checksums: dict[Backbone, Checksum]


class Auditing(Section):
    """What counts as a near-duplicate, how many are listed, and how shortcuts are tested."""

    near_duplicate_cosine: Cosine
    listed: Count
    shortcuts: ShortcutTest


class Splitting(Section):
    """The grouped protocol's folds, and the seed of every split that is drawn."""

    folds: Folds
    seed: Seed


class Preprocessing(Section):
    """From an image of any size to the backbone's input, in the ways that recipes ask for.

    Attributes:
        batch_size: Images of one pass of a backbone.
        image_size_px: Side of the square in place of each dataset's own; null for that.
        views: By name what a network is shown of an image; `views` at the top names those of the design.
    """

    batch_size: Annotated[int, Field(ge=1, le=4096)]
    image_size_px: SizePx | None
    views: dict[str, View]


class TrainingSeeds(Section):
    """Training seeds in place of each dataset's own.

    Attributes:
        published: On the published split; null for each dataset's own.
        grouped: On the grouped split; null for each dataset's own.
        of: Of single datasets, by split.
    """

    published: Distinct[Seed] | None
    grouped: Distinct[Seed] | None
    of: dict[str, dict[Split, Distinct[Seed]]]


class Recommended(Section):
    """The recommended recipe.

    Attributes:
        recipe: Of all fits, before anything is chosen.
        choices: Among what each fit chooses.
        repeats: How many partitions of a grouped split, each with a seed of its own.
    """

    recipe: Recipe
    choices: Choices
    repeats: Count


class Finetuned(Section):
    """The recipe that goes on from the recommended head and fits the backbone's last layers with it.

    Attributes:
        settings: Of all its fits.
        repeats: As of the recommended recipe.
    """

    settings: Finetuning
    repeats: Count


class Training(Section):
    """The published recipe, which others start from, with its seeds, the recommended one, and `finetuned`."""

    recipe: Recipe
    seeds: TrainingSeeds
    recommended: Recommended
    finetuned: Finetuned

    def repeats(self, recipe: str) -> int:
        """How many partitions of a grouped split a repeated recipe has."""
        return {"recommended": self.recommended.repeats, "finetuned": self.finetuned.repeats}[recipe]


class Sensitivity(Section):
    """How groups and partitions are varied, and the settings of the classifiers that are measured on them.

    Attributes:
        partitions: Partitions into folds of each way to find the groups.
        histogram_bins: Of a channel, for the forests.
        C: Inverse strength of the linear probes' L2 penalty.
    """

    partitions: Count
    histogram_bins: Annotated[int, Field(ge=2, le=256)]
    C: Annotated[float, Field(ge=1e-9, le=1e9)]


class Evaluation(Section):
    """How predictions are measured.

    Attributes:
        resamples: Of the bootstrap over groups.
        confidence: Of the intervals.
        calibration_bins: Of equal width, of the calibration error and the reliability diagram.
        specificities: At which sensitivities are given.
        prevalences: At which predictive values are given.
        seed: Of the resampling.
    """

    resamples: Resamples
    confidence: Confidence
    calibration_bins: Annotated[int, Field(ge=1, le=1000)]
    specificities: Distinct[Fraction]
    prevalences: Distinct[Fraction]
    seed: Seed


class Leaving(Section):
    """What a model carries that leaves the project.

    Attributes:
        coverage: Share of images of unseen groups whose true class shall be in the set of classes given.
        familiar: Share of images of unseen groups that shall count as familiar.
        folds: By which unseen groups are had for the second.
        seed: Of these folds.
    """

    coverage: Fraction
    familiar: Fraction
    folds: Folds
    seed: Seed


class NoisyCopies(Section):
    """Copies of an image with noise, over whose maps is averaged.

    Attributes:
        copies: Of each image.
        strength: Standard deviation of the noise as a share of the range of an image's values.
    """

    copies: Count
    strength: Fraction


class Explaining(Section):
    """How it is looked at where networks look.

    Attributes:
        shown: Images of each class in the pictures.
        measured: Images of each class at most on which maps of a changed network are compared with its own.
        draws: Random maps, and untrained attentions.
        shuffles: How often weights are shuffled, at each layer.
        noise: For the maps that are averaged before they are compared.
        refits: Further fits, with other seeds.
        seed: Of what is drawn.
    """

    shown: Count
    measured: Count
    draws: Count
    shuffles: Count
    noise: NoisyCopies
    refits: Count
    seed: Seed
