"""The manifest: a verified row an image, and the archive of just these images."""

from __future__ import annotations

import hashlib
import re
import zipfile
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from lung_attention.config.datasets import Dataset
from lung_attention.data.archive import open_archive
from lung_attention.data.image_table import read_image_table, squares_of, with_image_table
from lung_attention.data.members import find_members, require_counts
from lung_attention.data.unreadable import guarded, refuse_unreadable
from lung_attention.errors import UserError
from lung_attention.files import ZIP_TIME, write_table
from lung_attention.images.cut import cut_square
from lung_attention.images.decode import UnreadableError, read_image
from lung_attention.paths import DATASETS
from lung_attention.writing import replacing

COLUMNS = ("image", "label", "bytes", "sha256", "width", "height", "group")


def patient_of(dataset: Dataset, image: str) -> str:
    """The patient that the path of an image tells, or an empty string where the dataset has no rules for it.

    Args:
        dataset: The dataset.
        image: The image's path below the release's top folder.

    Returns:
        The patient by the first rule that matches, or "".

    Raises:
        UserError: The dataset has rules, but none matches.
    """
    for rule in dataset.patients:
        found = re.fullmatch(rule.match, image)
        if found:
            return rule.patient.format(*found.groups(""), **found.groupdict(""))
    if not dataset.patients:
        return ""
    rules = " or ".join(repr(rule.match) for rule in dataset.patients)
    raise UserError(
        f"image {image!r} does not tell its patient; expected a path like {rules}",
        remedy=f"restore the archive's names, or correct patients in {DATASETS}/{dataset.id}.yaml",
    )


def import_archive(
    source: Path, dataset: Dataset, *, archive: Path, manifest: Path, check_counts: bool
) -> pd.DataFrame:
    """Verifies a dataset's source and writes its archive and manifest, or neither.

    Every image is decoded once, also after one that cannot be read. The written archive holds the original
    bytes under the names of the manifest, uncompressed (the images are compressed already), in the manifest's
    order. Where images are cut out of others, it holds the cuts.

    Args:
        source: The zip file or unpacked folder.
        dataset: What it should hold.
        archive: Where the archive is written.
        manifest: Where the manifest is written.
        check_counts: Whether each class must have as many images as the public release.

    Returns:
        The manifest: the columns of `COLUMNS`, then those of the dataset's table but for image and patient.

    Raises:
        UserError: The source is damaged or incomplete, or images are unreadable; the message names all of
            them.
    """
    rows = []
    unreadable: dict[str, str] = {}
    with open_archive(source) as (names, read), replacing(archive) as temporary:
        members = find_members(names, dataset, path=source)
        if check_counts:
            require_counts(members, dataset, path=source)
        beside = None if dataset.table is None else read_image_table(dataset, names, read)
        squares = None if beside is None else squares_of(dataset, beside, [one.image for one in members])
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as written:
            for member in tqdm(members, desc=f"verify {dataset.id}", unit="image", mininterval=1):
                try:
                    content = guarded(read, member.source)
                    width, height = read_image(content).size
                    if squares is not None:
                        square = squares[member.image]
                        content = cut_square(content, square.centre, square.side_px)
                        width, height = read_image(content).size
                except UnreadableError as error:
                    unreadable[member.source] = str(error)
                if unreadable:  # nothing of it will be kept
                    continue
                written.writestr(zipfile.ZipInfo(member.image, ZIP_TIME), content)
                rows.append(
                    (
                        member.image,
                        member.label,
                        len(content),
                        hashlib.sha256(content).hexdigest(),
                        width,
                        height,
                        patient_of(dataset, member.image),
                    )
                )
        refuse_unreadable(unreadable, of=len(members), source=source)
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        if beside is not None:
            table = with_image_table(table, beside, dataset)
        write_table(manifest, table)
    return table
