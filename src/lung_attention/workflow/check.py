"""All that can be wrong with parameters, looked at before the first stage runs, by whatever runs stages.

`make repro`, `make search` and their like ask here first. `dvc repro` itself cannot; its first stage, `code`,
depends on all parameters and asks here.
"""

from __future__ import annotations

from pathlib import Path

from lung_attention.config import Config, load_config
from lung_attention.errors import UserError
from lung_attention.paths import PARAMS, Paths


def checked_config() -> Config:
    """Reads params.yaml and the datasets' files of the project in the current folder.

    Raises:
        UserError: A key or value is wrong, or a cell of the recipe `searched` was not searched.
    """
    config = load_config(PARAMS)
    searches(config)
    return config


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
