"""Parameters, datasets' files, found settings and locks as inputs."""

from __future__ import annotations

import functools
import random
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from faults.mutators import bytes_of, json_of, yaml_of
from faults.parsers import Parser
from faults.workspace import ROOT
from lung_attention.cells import Cell
from lung_attention.config import load_config
from lung_attention.errors import UserError
from lung_attention.files import read_json
from lung_attention.paths import DATASETS, PARAMS, Paths
from lung_attention.training.recipes import RECIPES
from lung_attention.workflow import status
from lung_attention.workflow.code import code_digests
from lung_attention.workflow.lock import keep, mend

_TAGS = (
    b"profile: !!python/object/apply:os.system ['touch pwned']\n",
    b"profile: !!python/name:os.system\n",
    b"!!python/object/new:os.system ['touch pwned']\n",
)


def params(folder: Path) -> Parser:
    """params.yaml."""
    shutil.copytree(ROOT / DATASETS, folder / DATASETS)

    def feed(content: bytes) -> None:
        path = folder / PARAMS
        path.write_bytes(content)
        load_config(path)

    return Parser([(ROOT / PARAMS).read_bytes()], _TAGS, yaml_of, feed, (UserError,))


def dataset_files(folder: Path) -> Parser:
    """A file of datasets/; the others are sound."""
    shutil.copytree(ROOT / DATASETS, folder / DATASETS)
    shutil.copy(ROOT / PARAMS, folder / PARAMS)

    def feed(content: bytes) -> None:
        (folder / DATASETS / "iqoth.yaml").write_bytes(content)
        load_config(folder / PARAMS)

    seeds = [path.read_bytes() for path in sorted((ROOT / DATASETS).glob("*.yaml"))]
    return Parser(seeds, _TAGS, yaml_of, feed, (UserError,))


def found_settings(folder: Path) -> Parser:
    """What a search found, as the stage `settings` takes it up."""
    config = load_config(ROOT / PARAMS)
    cell = Cell("iqoth", "densenet121", "attention", "searched", "grouped")
    seeds = [path.read_bytes() for path in sorted((ROOT / "results" / "local" / "search").glob("*.json"))]
    dataset = config.dataset(cell.dataset)

    def feed(content: bytes) -> None:
        path = folder / "found.json"
        path.write_bytes(content)
        ingredients = config.active.ingredients(dataset, cell.backbone, read_json(path))
        RECIPES[cell.recipe].settings(ingredients)

    return Parser(seeds, [], json_of, feed, (UserError,))


def locks(folder: Path) -> Parser:
    """A dvc.lock, as `check-lock`, `stale` and the next run read it."""
    whole = yaml.safe_load((ROOT / status.LOCK).read_text(encoding="utf-8"))
    names = [name for name in whole["stages"] if name.startswith(("download@", "split@"))][:4]
    short = yaml.safe_dump(
        {"schema": "2.0", "stages": {name: whole["stages"][name] for name in names}}, sort_keys=False
    ).encode()
    # Hashing the code takes a second, and it is the same code for each lock.
    status.code_digests = functools.cache(code_digests)  # type: ignore[attr-defined]

    def mutate(content: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
        return (
            bytes_of(content, others, chance) if chance.random() < 0.4 else yaml_of(content, others, chance)
        )

    def feed(content: bytes) -> None:
        path = folder / status.LOCK
        path.write_bytes(content)
        mend(folder, was_killed=False)
        keep(folder)
        path.write_bytes(content)
        status.other_code(status.stages_of(path), ROOT)
        status.profile_lock(content.decode(errors="replace"), Paths("sample").profile)

    return Parser([short], [], mutate, feed, (UserError,), seconds=10)
