"""A table of a folder of images: class folders, perhaps below folders of subsets."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lung_attention.errors import UserError
from lung_attention.images.names import IMAGE_SUFFIXES, READ_SUFFIXES

SUBSETS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""Names of subsets in small letters, and what they are called here."""

_LAYOUT = "class folders of images, or folders train, valid and test of such"


def table_of_folder(folder: Path, split: pd.DataFrame | None) -> pd.DataFrame:
    """Lists the images of a folder.

    Args:
        folder: Class folders, or folders of subsets that hold them.
        split: path,subset and perhaps group of each image, its path relative to the folder; None where the
            folders tell, or where there is no split.

    Returns:
        path, relative to the folder, label and, as far as known, subset and group.

    Raises:
        UserError: There is no image, one lies in no class folder, or the split does not name it.
    """
    paths = sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise UserError(f"{folder} holds no image ({READ_SUFFIXES})", remedy=f"give {_LAYOUT}")
    of_subsets = all(path.parts[0].lower() in SUBSETS for path in paths)
    depth = 2 if of_subsets else 1
    if outside := [path for path in paths if len(path.parts) <= depth]:
        raise UserError(f"{folder / outside[0]} lies in no class folder", remedy=f"give {_LAYOUT}")
    table = pd.DataFrame(
        {"path": [path.as_posix() for path in paths], "label": [path.parts[depth - 1] for path in paths]}
    )
    if split is None:
        return table.assign(subset=[path.parts[0] for path in paths]) if of_subsets else table
    if missing := [name for name in ("path", "subset") if name not in split.columns]:
        raise UserError(f"the split lacks the column {missing[0]}", remedy="give a CSV with path,subset")
    known = split.drop_duplicates("path").set_index("path")
    if unnamed := [path for path in table["path"] if path not in known.index]:
        raise UserError(
            f"the split does not name {unnamed[0]} ({len(unnamed)} of {len(table)} images)",
            remedy="name every image of the folder, by its path relative to it",
        )
    columns = [name for name in ("subset", "group") if name in known.columns]
    return table.join(known[columns], on="path")
