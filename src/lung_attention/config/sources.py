"""Where archives and weight files are served, as a dataset's file says it of its archive."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from lung_attention.config.values import Count, Pattern, Section

Kind = Literal["web", "kaggle", "huggingface", "idc"]

# Archives of other services are asked for by what these call them.
_Handle = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]


def _is_below(folder: str) -> str:
    if folder.startswith("/") or ".." in folder.split("/"):
        raise ValueError("expected a folder below the archive")
    return folder


class _Place(Section):
    """What all kinds of sources share."""

    _page: ClassVar[str] = "{}"

    # Records, messages and files on their way are called so.
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    address: str

    @property
    def page(self) -> str:
        """Web address for people."""
        return self._page.format(self.address)


class WebSource(_Place):
    """A file that a server gives to everybody.

    Attributes:
        name: What records and messages call the source.
        kind: How it is asked.
        address: The file's web address.
        bytes: Its exact length; null where unknown.
        md5: A published checksum of it; null for none.
    """

    kind: Literal["web"]
    address: Annotated[str, Field(pattern=r"^https?://[^\s/]+/\S*$")]
    bytes: Count | None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None


class KaggleSource(_Place):
    """A dataset of Kaggle, which may want a token.

    Attributes:
        name: What records and messages call the source.
        kind: How it is asked.
        address: The dataset's handle, `owner/name`.
    """

    _page: ClassVar[str] = "https://www.kaggle.com/datasets/{}"

    kind: Literal["kaggle"]
    address: _Handle


class Layout(Section):
    """Where images lie in the release that a source keeps by their file names alone.

    Attributes:
        name: A regular expression of the names of the images that are wanted.
        folder: Their folder in the release, with groups of `name`.
    """

    name: Pattern
    folder: Annotated[str, Field(min_length=1), AfterValidator(_is_below)]


class HuggingFaceSource(_Place):
    """A dataset of Hugging Face in Parquet files, which may want a token.

    Attributes:
        name: What records and messages call the source.
        kind: How it is asked.
        address: Its repository, `owner/name`.
        layout: How names of images lead to the release's layout.
    """

    _page: ClassVar[str] = "https://huggingface.co/datasets/{}"

    kind: Literal["huggingface"]
    address: _Handle
    layout: Layout


class SeriesSource(_Place):
    """CT series of the NCI Imaging Data Commons, from which an archive is cut.

    Attributes:
        name: What records and messages call the source.
        kind: How it is asked.
        address: The collection.
        cut: `listed_slices`, the whole slices that the paper's list names, or `nodules`, crops around them
            (`rebuild` of params.yaml says how).
    """

    _page: ClassVar[str] = "https://portal.imaging.datacommons.cancer.gov/collections/{}"

    kind: Literal["idc"]
    address: Literal["lidc_idri"]  # the list and the annotations are of this collection
    cut: Literal["listed_slices", "nodules"]


Source = WebSource | KaggleSource | HuggingFaceSource | SeriesSource


class Sources(Section):
    """Who serves an archive.

    Attributes:
        about_bytes: About how much is transferred, for the user and for the look at the disk. What is cut
            from CT series is reckoned anew from the parameters before it is fetched.
        places: In order of preference; `from` in the file.
    """

    about_bytes: Annotated[int, Field(ge=1)]
    places: Annotated[
        list[Annotated[Source, Field(discriminator="kind")]], Field(alias="from", min_length=1)
    ]  # fmt: skip

    @model_validator(mode="after")
    def _has_no_name_twice(self) -> Sources:
        names = [place.name for place in self.places]
        if len(set(names)) < len(names):
            raise ValueError(f"from: expected no name twice, received {names}")
        return self
