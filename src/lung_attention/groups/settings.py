"""How groups are found, as a dataset's file says it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Cosine = Annotated[float, Field(gt=0, le=1)]


@dataclass(frozen=True)
class NearDuplicateGroups:
    """Groups of images that look alike, where nobody knows a patient.

    Attributes:
        method: The name of this way in a dataset's file.
        unit: What a group is, in words.
        strictness: "thumbnails" links near-duplicates; "thumbnails_and_neighbours", the stricter, links
            neighbouring files of one class as well.
        cosine: Least cosine of two linked thumbnails, in (0, 1].
        neighbour_cosine: The same for two images of one class whose file numbers differ by 1, in [-1, 1].
            Neighbours are linked at a looser cosine because the order of the files already says that they
            probably belong together; without any threshold each class would be one group.
        near_duplicate_cosine: Thumbnails this alike are linked, however high `cosine` is.
    """

    method: Literal["near_duplicates"]
    unit: Annotated[str, Field(min_length=1)]
    strictness: Literal["thumbnails", "thumbnails_and_neighbours"]
    cosine: Cosine
    neighbour_cosine: Annotated[float, Field(ge=-1, le=1)]
    near_duplicate_cosine: Cosine


@dataclass(frozen=True)
class PatientGroups:
    """Groups that are patients, joined where they share a picture.

    Attributes:
        method: The name of this way in a dataset's file.
        unit: What a group is, in words.
        near_duplicate_cosine: Least cosine of grey, mean-centred thumbnails that share a group, in
            (0, 1].
    """

    method: Literal["patients"]
    unit: Annotated[str, Field(min_length=1)]
    near_duplicate_cosine: Cosine


@dataclass(frozen=True)
class SourceTileGroups:
    """Groups of tiles that are copies of one original picture.

    Attributes:
        method: The name of this way in a dataset's file.
        unit: What a group is, in words.
        candidates: Tiles with which each tile is compared, those nearest in colour. At least as many as an
            original has copies; more cost time in proportion.
        correlation: Least registered correlation of two copies of one original, in (0, 1].
        overlap_correlation: Least correlation of the fine structure in the part that two originals share, in
            (0, 1].
        least_overlap: Originals that share less of their area than this are not linked, in (0, 1].
    """

    method: Literal["source_tiles"]
    unit: Annotated[str, Field(min_length=1)]
    candidates: Annotated[int, Field(ge=1)]
    correlation: Cosine
    overlap_correlation: Cosine
    least_overlap: Cosine


@dataclass(frozen=True)
class FileBlocks:
    """Groups of successive files of one class, whatever they show.

    Where slices of a scan follow each other in an archive, blocks hold most of them together without a look
    at the images: another way to the same end, to see how much hangs on the way.

    Attributes:
        method: The name of this way in a dataset's file.
        unit: What a group is, in words.
        blocks: Blocks of each class.
    """

    method: Literal["file_blocks"]
    unit: Annotated[str, Field(min_length=1)]
    blocks: Annotated[int, Field(ge=2, le=100_000)]


Grouping = NearDuplicateGroups | PatientGroups | SourceTileGroups | FileBlocks
