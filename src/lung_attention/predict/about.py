"""What an exported model says about itself, kept in its file."""

from __future__ import annotations

from importlib import metadata

from pydantic import BaseModel, ConfigDict

KEY = "lung_attention"
"""Its name among the metadata of the ONNX file."""


class Shown(BaseModel):
    """What of an image the network sees.

    Attributes:
        crop_px: Side of the square around the centre that is kept; None for the whole image.
        size_px: Side of the square that it becomes.
    """

    model_config = ConfigDict(frozen=True)

    crop_px: int | None
    size_px: int


class About(BaseModel):
    """A model's own description.

    Attributes:
        name: Of the cell.
        title: Of the dataset, for people.
        classes: In the order of the probabilities.
        shown: What of an image it sees.
        window: Level and width in HU by which a CT slice becomes an image as it knows them; None where nobody
            knows.
        metrics: By score its value and the bounds of its interval, as far as they are defined.
        measured: On what, in words.
        confidence: Of the intervals.
        coverage: That its sets of classes were made for; None where it has none.
        covered: The coverage that was measured on other groups.
        set_size: How many classes such a set then held on average.
        set_threshold: The probability from which on a class belongs to the set.
        familiar: Share of images of unseen groups that are familiar; None where it knows no distance.
        distance_threshold: The distance up to which an image is familiar.
        limits: Sentences on what it is not.
        licence: Of the images that it was fitted on.
        citation: Of these.
        model_sha256: Of the Keras file that it was made of.
        code: Version of the code that made it.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    title: str
    classes: list[str]
    shown: Shown
    window: tuple[float, float] | None = None
    metrics: dict[str, tuple[float, float | None, float | None]]
    measured: str
    confidence: float
    coverage: float | None = None
    covered: float | None = None
    set_size: float | None = None
    set_threshold: float | None = None
    familiar: float | None = None
    distance_threshold: float | None = None
    limits: list[str]
    licence: str
    citation: str
    model_sha256: str
    code: str


def code_version() -> str:
    """The version of this package; where it runs from its sources, that there is none."""
    try:
        return metadata.version("lung-attention")
    except metadata.PackageNotFoundError:
        return "from sources"
