"""A dataset: all that is known of one, as its file `datasets/<id>.yaml` says it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, model_validator

from lung_attention.config.beside import TrainingSd
from lung_attention.config.sources import Sources
from lung_attention.config.values import (
    Backbone,
    Checksum,
    Count,
    Distinct,
    Fraction,
    Pattern,
    Section,
    Seed,
    SizePx,
    Unique,
    Window,
)
from lung_attention.groups.settings import (
    FileBlocks,
    NearDuplicateGroups,
    PatientGroups,
    SourceTileGroups,
)
from lung_attention.images.view import View
from lung_attention.splits.settings import FolderSplit, NotebookSplit, RandomSplit

Text = Annotated[str, Field(min_length=1)]
# In names of stages and files, whose parts are separated by dashes.
DatasetName = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class Archive(Section):
    """The layout of the archive that holds the images.

    Attributes:
        root: The top folder, which some copies nest in others and others leave out; empty for none.
        suffixes: Lower-case endings of image files.
        ignored: Folders that have class folders of the same names and do not count.
        counts: Images of each class in the release; null where there is no release to compare with.
    """

    root: str
    suffixes: Distinct[Annotated[str, Field(pattern=r"^\.[a-z0-9]+$")]]
    ignored: list[Text]
    counts: dict[str, Count] | None


class PatientRule(Section):
    """How the name of an image tells its patient.

    Attributes:
        match: A regular expression for the whole path of an image below the top folder.
        patient: The patient, a format of the expression's groups: `{0}` is the first, `{name}` a named one.
    """

    match: Pattern
    patient: Text

    @model_validator(mode="after")
    def _names_groups_that_are_there(self) -> PatientRule:
        groups = re.compile(self.match)
        try:
            self.patient.format(*[""] * groups.groups, **dict.fromkeys(groups.groupindex, ""))
        except (LookupError, ValueError, AttributeError) as error:
            raise ValueError(f"patient: {self.patient!r} is no format of the groups of match") from error
        return self


class ImageTable(Section):
    """A CSV file with a row an image, whose columns are carried into the manifest.

    Attributes:
        file: Its path in the archive, below the top folder; or its name beside the dataset's file, with
            `sha256`.
        image: The column with the image's path, with or without the top folder.
        patient: The column with the patient, null where names tell or nobody knows.
        sha256: Of a file beside the dataset's file, so that a change of it is seen.
        covariates: Columns of numbers, each of which is measured as a baseline of its own; not those that the
            label was made of.
    """

    file: Text
    image: Text
    patient: Text | None
    sha256: Checksum | None
    covariates: Unique[Text]


class Cut(Section):
    """How each image is cut out of an image of another dataset's archive, around what the table marks.

    Attributes:
        of: The other dataset.
        centre: The columns of the table with the centre's column and row, as fractions of width and height.
        mm_per_px: The column with the size of a pixel.
        side_mm: Side of the square that is cut out; what lies outside the image is black.
    """

    of: DatasetName
    centre: tuple[Text, Text]
    mm_per_px: Text
    side_mm: Annotated[float, Field(gt=0)]


class Marked(Section):
    """Where the table says that the finding lies which the label is about.

    Attributes:
        centre: The columns with the column and row of its centre, as fractions of width and height.
        size: The columns with its width and height, as such fractions, too.
    """

    centre: tuple[Text, Text]
    size: tuple[Text, Text]


class CloseView(Section):
    """What the recommended recipe shows networks of an image.

    Attributes:
        view: Crop, filter and scaling of values.
        image_size_px: Side of the square that it becomes.
    """

    view: View
    image_size_px: SizePx


class Seeds(Section):
    """The training seeds of each split; every seed of a grouped one means a fit a fold."""

    published: Distinct[Seed]
    grouped: Distinct[Seed]


class Floors(Section):
    """The balanced accuracy that a classifier has to exceed on each split."""

    published: Fraction
    grouped: Fraction


class Dataset(Section):
    """One dataset, as its archive lays it out.

    Attributes:
        id: The name used in parameters, stages and files: that of its file.
        title: The name for people.
        classes: The archive's folders of each class, by class in label order.
        archive: The layout of the archive.
        patients: Rules that tell the patient by an image's path, the first that matches; empty for none.
        table: A table beside the images, null for none.
        cut: How the images are cut out of those of another dataset; null where the archive holds them.
        marked: Where the finding lies that the label is about; null where no table tells.
        window: By which a CT slice becomes an image like these; null where nobody knows.
        groups: How the groups are found that must not stand on two sides of a split.
        other_groups: By name other ways to find groups, to see how much hangs on the way.
        frame_is_empty: Whether the outermost pixels lie outside the body or tissue.
        near_duplicates_leak: Whether near-duplicates on two sides are a leak; else they are information.
        published_split: How the published split was drawn.
        image_size_px: Side of the square that the networks see.
        close_view: What the recommended recipe shows them, and the side of that square.
        learning_rates: Those that the paper gives for single backbones.
        seeds: The training seeds of each split.
        training_sd: How far one training is luckier than another as a whole (gate).
        floors: The balanced accuracy to exceed on each split; a majority vote has 1 / classes (gate).
        licence: The licence of the images.
        citation: How the dataset is cited.
        copies: What is different in archives other than the release, by their SHA-256.
        sources: Who serves the archive; null where nobody does.
    """

    id: DatasetName
    title: Text
    classes: Annotated[dict[str, Annotated[list[Text], Field(min_length=1)]], Field(min_length=2)]
    archive: Archive
    patients: list[PatientRule]
    table: ImageTable | None
    cut: Cut | None
    marked: Marked | None
    window: Window | None
    groups: Annotated[
        NearDuplicateGroups | PatientGroups | SourceTileGroups, Field(discriminator="method")
    ]  # fmt: skip
    other_groups: dict[
        DatasetName,
        Annotated[
            NearDuplicateGroups | PatientGroups | SourceTileGroups | FileBlocks, Field(discriminator="method")
        ],
    ]
    frame_is_empty: bool
    near_duplicates_leak: bool
    published_split: Annotated[FolderSplit | NotebookSplit | RandomSplit, Field(discriminator="method")]
    image_size_px: SizePx
    close_view: CloseView
    learning_rates: dict[Backbone, Annotated[float, Field(gt=0)]]
    seeds: Seeds
    training_sd: TrainingSd
    floors: Floors
    licence: Text
    citation: Text
    copies: dict[Checksum, Text]
    sources: Sources | None

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in label order."""
        return tuple(self.classes)

    @property
    def covariates(self) -> list[str]:
        """The columns of numbers that are baselines of their own."""
        return [] if self.table is None else self.table.covariates

    @property
    def archive_of(self) -> str:
        """The dataset whose archive holds the images, or what they are cut from."""
        return self.id if self.cut is None else self.cut.of

    @property
    def unit(self) -> str:
        """What a group is, in words."""
        return self.groups.unit

    @property
    def groups_inferred(self) -> bool:
        """Whether groups are inferred from the images, as no name and no table tells a patient."""
        return self.groups.method != "patients"

    @model_validator(mode="after")
    def _is_consistent(self) -> Dataset:
        if self.cut is not None and self.table is None:
            raise ValueError("cut: expected a table that tells where")
        if self.marked is not None and self.table is None:
            raise ValueError("marked: expected a table that tells where")
        counts = self.archive.counts
        if counts is not None and set(counts) != set(self.classes):
            raise ValueError(f"archive.counts: expected a number for each of {list(self.classes)}")
        least = 1 / len(self.classes)
        if min(self.floors.published, self.floors.grouped) < least:
            raise ValueError(f"floors: expected at least {least:.3f}, that of a majority vote")
        return self
