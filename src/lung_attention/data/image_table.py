"""The table beside the images of a dataset: patients, boxes, diameters or whatever its columns say."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from lung_attention.config.datasets import Dataset, ImageTable
from lung_attention.errors import UserError
from lung_attention.paths import DATASETS


def read_image_table(dataset: Dataset, names: Sequence[str], read: Callable[[str], bytes]) -> pd.DataFrame:
    """Reads the table of a dataset, from its archive or from beside its file.

    Args:
        dataset: With a table.
        names: The files of the archive.
        read: Reads one of them.

    Returns:
        All columns as text, the one with the image's path named as the dataset's file says.

    Raises:
        UserError: The table is nowhere, is no CSV, lacks a column, or is not the one the file was made for.
    """
    table, file = _table(dataset), f"{DATASETS}/{dataset.id}.yaml"
    beside = DATASETS / table.file
    if table.sha256 is not None:
        if not beside.exists():
            raise UserError(
                f"{file}: table.file: {beside} is missing", remedy=f"put it there, or mend {file}"
            )
        content, place = beside.read_bytes(), beside.as_posix()
        found = hashlib.sha256(content).hexdigest()
        if found != table.sha256:
            raise UserError(
                f"{file}: table.sha256: expected {table.sha256}, {beside} has {found}",
                remedy=f"write the new hash into {file}, if the change is wanted",
            )
    else:
        ending = f"/{dataset.archive.root}/{table.file}" if dataset.archive.root else f"/{table.file}"
        place = next((name for name in names if f"/{name}".endswith(ending)), "")
        if not place:
            raise UserError(f"{file}: table.file: the archive has no {ending[1:]}", remedy=f"mend {file}")
        content = read(place)
    try:
        rows = pd.read_csv(io.BytesIO(content), dtype="str", keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{place} is no CSV file ({error})", remedy=f"correct table in {file}") from error
    for column in (table.image, table.patient):
        if column is not None and column not in rows.columns:
            raise UserError(
                f"{place} has no column {column!r}; found {', '.join(rows.columns)}",
                remedy=f"correct table in {file}",
            )
    return rows


def with_image_table(manifest: pd.DataFrame, rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """Carries the columns of a table into the manifest.

    Args:
        manifest: A row an image, with the columns image and group.
        rows: From `read_image_table`.
        dataset: Whose table it is.

    Returns:
        The manifest with the patients in `group`, where the table has them, and all other columns of the
        table behind its own; numbers where a whole column is numbers.

    Raises:
        UserError: An image has no row or several, a patient is empty, or a column is named as one of the
            manifest's own.
    """
    table = _table(dataset)
    found = _rows_of(manifest["image"].tolist(), rows, dataset).reset_index(drop=True)
    result = manifest.copy()
    if table.patient is not None:
        if (found[table.patient] == "").any():
            image = manifest.loc[found[table.patient] == "", "image"].iloc[0]
            raise UserError(f"{table.file}: image {image!r} has no patient", remedy="name one in each row")
        result["group"] = found[table.patient]
    carried = found.drop(columns=[name for name in (table.image, table.patient) if name is not None])
    if taken := [name for name in carried.columns if name in manifest.columns]:
        raise UserError(f"{table.file}: the column name {taken[0]!r} is taken", remedy="rename the column")
    for name in carried.columns:
        result[name] = _numbers_if_all(carried[name])
    return result


@dataclass(frozen=True)
class Square:
    """Where an image is cut out of another.

    Attributes:
        centre: Column and row, as fractions of width and height.
        side_px: In pixels of the image that it is cut out of.
    """

    centre: tuple[float, float]
    side_px: float


def squares_of(dataset: Dataset, rows: pd.DataFrame, images: Sequence[str]) -> dict[str, Square] | None:
    """Where the table says that images are cut out of others.

    Args:
        dataset: Whose table it is.
        rows: From `read_image_table`.
        images: Paths as in the manifest.

    Returns:
        By image; None where nothing is cut.

    Raises:
        UserError: A column is missing, or an image has no row, several, or no numbers that can be.
    """
    cut = dataset.cut
    if cut is None:
        return None
    table, columns = _table(dataset), [*cut.centre, cut.mm_per_px]
    file = f"{DATASETS}/{dataset.id}.yaml"
    for name in columns:
        if name not in rows.columns:
            raise UserError(
                f"{file}: cut: {table.file} has no column {name!r}; found {', '.join(rows.columns)}",
                remedy=f"mend {file}",
            )
    numbers = _rows_of(images, rows, dataset)[columns].apply(pd.to_numeric, errors="coerce")
    x, y, mm_per_px = (numbers[name] for name in columns)
    wrong = ~(x.between(0, 1) & y.between(0, 1) & (mm_per_px > 0))
    if wrong.any():
        image = numbers.index[wrong][0]
        raise UserError(
            f"{table.file}: image {image!r}: expected a centre in 0..1 and a positive size of a pixel, "
            f"received {numbers.loc[image].tolist()}",
            remedy="correct the row",
        )
    return {
        image: Square((float(column), float(row)), cut.side_mm / float(size))
        for image, column, row, size in zip(images, x, y, mm_per_px, strict=True)
    }


def _images(rows: pd.DataFrame, dataset: Dataset) -> pd.Series[str]:
    """The images of a table's rows, by their paths in the manifest."""
    return rows[_table(dataset).image].str.removeprefix(f"{dataset.archive.root}/")


def _rows_of(images: Sequence[str], rows: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """The rows of images in their order, which are its index.

    Raises:
        UserError: An image has no row or several.
    """
    table, known = _table(dataset), _images(rows, dataset)
    if known.duplicated().any():
        raise UserError(
            f"{table.file}: image {known[known.duplicated()].iloc[0]!r} has several rows",
            remedy="keep one row an image",
        )
    absent = sorted(set(images) - set(known))
    if absent:
        raise UserError(
            f"{table.file} has no row for {len(absent)} images, the first {absent[0]!r}",
            remedy=f"add it, or correct table in {DATASETS}/{dataset.id}.yaml",
        )
    return rows.set_axis(known).loc[list(images)]


def _numbers_if_all(column: pd.Series[str]) -> pd.Series[str] | pd.Series[float]:
    numbers = pd.to_numeric(column, errors="coerce")
    return column if numbers.isna().any() else numbers


def _table(dataset: Dataset) -> ImageTable:
    if dataset.table is None:
        raise ValueError(f"Expected a dataset with a table. Received: {dataset.id}")
    return dataset.table
