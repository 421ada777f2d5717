"""What a network is shown of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field


@dataclass(frozen=True)
class View:
    """How an image of any size becomes the square that a backbone takes.

    Attributes:
        crop_px: Side of the square around the centre that is kept, in pixels of the original image; None for
            the whole image.
        interpolation: The filter of the resizing, a name `keras.layers.Resizing` knows.
        antialias: Whether the filter is widened when an image is made smaller.
        standardise: Whether the values of each image are brought to the mean and spread that photographs
            have, where the scaling of grey values differs from image to image.
    """

    crop_px: Annotated[int, Field(ge=8, le=65_536)] | None
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos3", "lanczos5"]
    antialias: bool
    standardise: bool
