"""A first file of a dataset, from a look at its images."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from natsort import natsorted
from tqdm import tqdm

from lung_attention.config import Dataset, parse_value
from lung_attention.data.archive import open_archive
from lung_attention.data.members import find_members
from lung_attention.data.unreadable import guarded, refuse_unreadable
from lung_attention.errors import UserError
from lung_attention.files import sha256, write_text
from lung_attention.images.decode import UnreadableError, read_image
from lung_attention.images.names import IMAGE_SUFFIXES, READ_SUFFIXES
from lung_attention.paths import DATASETS

_NAME = re.compile(r"[a-z0-9_]+")
# What archives call the parts of a split that their folders are.
_PARTS = {"train": ("train", "training"), "validation": ("valid", "val", "validation"), "test": ("test",)}
_IMAGE_COLUMNS, _GROUP_COLUMNS = ("image", "path", "file"), ("patient", "group")


def describe_dataset(name: str, source: Path, *, patients: str | None, groups: Path | None) -> Path:
    """Writes `datasets/<name>.yaml` from the class folders of a folder or zip file.

    Args:
        name: Of the dataset, lower-case letters, digits and underscores.
        source: Class folders of images, perhaps below `train`, `valid` and `test`, perhaps in a top folder.
        patients: A regular expression that finds the patient in an image's path by its first group; None
            where paths tell none.
        groups: A CSV file with the columns image and patient (or group); it is copied beside the file.

    Returns:
        The file.

    Raises:
        UserError: The name is taken or no name, there are no two class folders, one is empty, they lie in
            each other or have no names of their own, the expression is none or does not find a patient in
            every path, the CSV does not name every image, or images cannot be read; all of these are named.
    """
    file = DATASETS / f"{name}.yaml"
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r}: expected lower-case letters, digits and underscores",
            remedy=f"lung-attention dataset new {re.sub(r'[^a-z0-9_]+', '_', name.lower())} …",
        )
    if file.exists():
        raise UserError(f"{file} exists already", remedy="edit it, or choose another name")
    with open_archive(source) as (names, _):
        images = [PurePosixPath(image) for image in names if _is_image(image)]
    root, folders = _layout(images, source)
    _refuse_empty(source, {image.parent for image in images})
    below = [image.relative_to(root).as_posix() for image in images]
    table = None
    if patients is not None:
        _require_patients(patients, below)
    if groups is not None:
        table = _table(groups, below, name=f"{name}.csv")
    classes = _classes(folders, source)
    counts = Counter(PurePosixPath(image).parent.as_posix() for image in below)
    text = (
        Environment(undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
        .from_string(files("lung_attention.data").joinpath("dataset.yaml.j2").read_text(encoding="utf-8"))
        .render(
            quoted=json.dumps,
            title=name.replace("_", " "),
            classes=classes,
            counts={label: sum(counts[folder] for folder in of) for label, of in classes.items()},
            root=root.as_posix() if root.parts else "",
            suffixes=sorted({image.suffix.lower() for image in images}),
            pattern=None if patients is None else _anywhere(patients),
            table=table,
            parts=_parts(folders),
            floor=round(1 / len(classes) + 0.01, 2),
        )
    )
    _require_found(text, name, names, images, source)
    _look_at(images, source)
    if groups is not None:
        (DATASETS / f"{name}.csv").write_bytes(groups.read_bytes())
    write_text(file, text)
    return file


def _is_image(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("._")


def _layout(images: Sequence[PurePosixPath], source: Path) -> tuple[PurePosixPath, list[str]]:
    """The top folder and the folders of images below it, in natural order."""
    parents = {image.parent for image in images}
    if len(parents) < 2:
        found = ", ".join(sorted(str(parent) for parent in parents)) or "none"
        raise UserError(
            f"{source}: expected images ({READ_SUFFIXES}) in two class folders or more; found {found}",
            remedy="put the images of each class in a folder of its own",
        )
    root = PurePosixPath(*_common([parent.parts for parent in parents]))
    folders = natsorted(parent.relative_to(root).as_posix() for parent in parents)
    if "." in folders:
        raise UserError(
            f"{source}: images lie in {root}/ itself, beside its class folders",
            remedy="move them into the folder of their class",
        )
    return root, folders


def _look_at(images: Sequence[PurePosixPath], source: Path) -> None:
    """Refuses what the stage `download` would refuse, before anything is written."""
    unreadable = {}
    with open_archive(source) as (_, read):
        for image in tqdm(images, desc="look at", unit="image", mininterval=1, disable=None, leave=False):
            try:
                read_image(guarded(read, image.as_posix()))
            except UnreadableError as error:
                unreadable[image.as_posix()] = str(error)
    refuse_unreadable(unreadable, of=len(images), source=source)


def _refuse_empty(source: Path, parents: set[PurePosixPath]) -> None:
    """Refuses folders without images beside those with some: a zip file has none, a folder may."""
    depth = {len(parent.parts) for parent in parents}
    for folder in sorted(path for path in source.rglob("*") if path.is_dir()):
        inside = PurePosixPath(folder.relative_to(source).as_posix())
        if len(inside.parts) in depth and inside not in parents:
            raise UserError(
                f"{folder}: expected images ({READ_SUFFIXES}) in this class folder, found none",
                remedy="put the images of the class there, or remove the folder",
            )


def _common(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """What all paths begin with."""
    shared = []
    for parts in zip(*paths, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared


def _parts(folders: Sequence[str]) -> dict[str, str | None] | None:
    """The folders of the subsets, where the class folders lie in such; None where they do not."""
    tops = {folder.split("/")[0] for folder in folders}
    if not all("/" in folder for folder in folders):
        return None
    found = {
        part: next((top for top in tops if top.lower() in known), None) for part, known in _PARTS.items()
    }
    named = {top for top in found.values() if top is not None}
    if found["test"] is None:  # what was held out is what is tested on
        found["test"], found["validation"] = found["validation"], None
    return found if named == tops and found["train"] and found["test"] else None


def _classes(folders: Sequence[str], source: Path) -> dict[str, list[str]]:
    """The folders of each class; a class is called as its folder."""
    split = _parts(folders) is not None
    classes: dict[str, list[str]] = {}
    parts: set[tuple[str, str]] = set()
    for folder in folders:
        part, label = folder.split("/", 1) if split else ("", folder)
        label = re.sub(r"\W+", "_", label.lower()).strip("_")
        if not label or (part, label) in parts:
            raise UserError(
                f"{source}: class folder {folder!r} gives the class the name {label!r}, which is "
                f"{'taken' if label else 'none'}",
                remedy="give each class folder a name of its own, of letters and digits",
            )
        parts.add((part, label))
        classes.setdefault(label, []).append(folder)
    return classes


def _anywhere(pattern: str) -> str:
    """An expression for whole paths that finds what another one finds anywhere."""
    flags = re.match(r"\(\?[aiLmsux]+\)", pattern)  # which must stand first
    start = flags[0] if flags else ""
    return f"{start}.*?(?:{pattern[len(start) :]}).*"


def _require_found(
    text: str, name: str, names: list[str], images: Sequence[PurePosixPath], source: Path
) -> None:
    """Refuses a file by which not every image would be found, and once."""
    dataset = Dataset.model_validate_json(json.dumps({"id": name, **parse_value(text)}))
    found = sorted(member.source for member in find_members(names, dataset, path=source))
    wanted = sorted(image.as_posix() for image in images)
    if found != wanted:
        other = min(set(wanted) ^ set(found))
        raise UserError(
            f"{source}: class folders lie in each other, so that {other!r} would be in none",
            remedy="put the images of each class in a folder of its own, none in another",
        )


def _require_patients(pattern: str, images: Sequence[str]) -> None:
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"--patients {pattern!r}: no regular expression ({error})", remedy="mend it"
        ) from error
    example = "--patients '(P[0-9]+)_'"
    if expression.groups < 1:
        raise UserError(f"--patients {pattern!r}: expected a group in parentheses", remedy=example)
    lost = [image for image in images if not (found := expression.search(image)) or not found[1]]
    if lost:
        raise UserError(
            f"--patients {pattern!r}: finds no patient in {len(lost)} of {len(images)} paths, "
            f"such as {lost[0]!r}",
            remedy=f"an expression that finds one in each, such as {example}",
        )


def _table(path: Path, images: Sequence[str], *, name: str) -> dict[str, Any]:
    """What the dataset's file says of a table of groups that is copied beside it under a name."""
    try:
        rows = pd.read_csv(path, dtype="str", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--groups {path}: no CSV file ({error})", remedy="name a CSV file") from error
    image = next((column for column in _IMAGE_COLUMNS if column in rows.columns), None)
    patient = next((column for column in _GROUP_COLUMNS if column in rows.columns), None)
    if image is None or patient is None:
        raise UserError(
            f"--groups {path}: expected the columns image and patient; found {', '.join(rows.columns)}",
            remedy="name its columns so in the first line",
        )
    lost = sorted(set(images) - set(rows[image]))
    if lost:
        raise UserError(
            f"--groups {path}: no row for {len(lost)} of {len(images)} images, such as {lost[0]!r}",
            remedy="name each image by its path below the top folder",
        )
    return {"file": name, "image": image, "patient": patient, "sha256": sha256(path)}
