"""All that can be wrong with parameters, looked at before the first stage runs, by whatever runs stages.

`make repro`, `make search` and their like ask here first. `dvc repro` itself cannot; its first stage, `code`,
depends on all parameters and asks here.
"""

from __future__ import annotations

from pathlib import Path

from lung_attention.config import Config, load_config
from lung_attention.errors import UserError
from lung_attention.models.heads import HEADS
from lung_attention.paths import PARAMS, Paths
from lung_attention.workflow.code import PACKAGE, import_closure

# The layer at which the stage `explain` looks, as the module of a head writes it.
_ATTENTION = '"soft_attention"'


def checked_config() -> Config:
    """Reads params.yaml and the datasets' files of the project in the current folder.

    Raises:
        UserError: A key or value is wrong, a cell of the recipe `searched` was not searched, or one is to be
            explained that has no attention.
    """
    config = load_config(PARAMS)
    searches(config)
    for cell in config.explained.cells():
        if not _has_attention(cell.head):
            raise UserError(
                f"{PARAMS}: explained: heads: {cell.head} has no attention that could be looked at",
                remedy=f"name heads that have it: {', '.join(filter(_has_attention, HEADS))}",
            )
    return config


def _has_attention(head: str) -> bool:
    """Told by the source: to build heads takes TensorFlow."""
    module = PACKAGE.parent.joinpath(*HEADS[head].split(".")).with_suffix(".py")
    return any(_ATTENTION in file.read_text(encoding="utf-8") for file in import_closure([module], PACKAGE))


def searches(config: Config) -> list[Path]:
    """What `make search` left of each searched cell.

    Raises:
        UserError: A cell was not searched yet.
    """
    paths = Paths(config.profile)
    found = []
    for cell in config.cells():
        if cell.recipe != "searched":
            continue
        path = paths.search(cell)
        if not path.exists():
            raise UserError(
                f"{PARAMS}: further.searched names {cell.name}, but {path} is missing",
                remedy=f"make search DATASET={cell.dataset} BACKBONE={cell.backbone} "
                f"HEAD={cell.head} PROFILE={config.profile}",
            )
        found.append(path)
    return found
