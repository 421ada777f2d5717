"""Searches the settings of a cell's head, nested in the grouped split."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import optuna

from lung_attention.cells import Cell
from lung_attention.config import load_config
from lung_attention.errors import UserError, run_guarded
from lung_attention.files import read_json, read_table, sha256, write_json
from lung_attention.models.feature_file import load_features
from lung_attention.paths import PARAMS, Paths, code_digest, head_digest
from lung_attention.search.address import storage_address
from lung_attention.search.nested import Searched, search_cell
from lung_attention.search.results import search_result, studies_digest
from lung_attention.search.storage import open_storage
from lung_attention.search.study import TrialReport
from lung_attention.search.track import track_study
from lung_attention.splits.settings import REFIT
from lung_attention.tracking import check_reachable, connect
from lung_attention.tracking.search import StudyIdentity
from lung_attention.training.fitting import device_name
from lung_attention.training.recipe import fold_name, settings_from_json


def _require(files: Iterable[Path], cell: Cell) -> None:
    """Asks for what other stages make; a worker on another machine may lack it."""
    for path in files:
        if not path.exists():
            raise UserError(
                f"{path} is missing", remedy=f"dvc repro split@{cell.dataset}-{cell.split} settings"
            )


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for factor in ("dataset", "backbone", "head"):
        parser.add_argument(f"--{factor}", required=True)
    parser.add_argument("--storage", help="the address of a database, for workers on many machines")
    parser.add_argument("--trials-only", action="store_true", help="help with the trials, write nothing")
    arguments = parser.parse_args()
    # Each study begins with the recommended settings, on what that recipe shows of an image.
    cell = Cell(arguments.dataset, arguments.backbone, arguments.head, "recommended", "grouped")
    config = load_config(PARAMS)
    profile, paths = config.active, Paths(config.profile)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(
        storage_address(arguments.storage, paths.studies(cell)),
        heartbeat_s=profile.search.heartbeat_s, grace_s=profile.search.grace_s,
    )  # fmt: skip
    split_path, settings_path = paths.split(cell.dataset, cell.split), paths.settings(cell)
    code = [code_digest("search"), head_digest(cell.head)]
    views = profile.search.space.view
    infos = {view: paths.features_info(cell.dataset, cell.backbone, view) for view in views}
    arrays = {view: paths.features(cell.dataset, cell.backbone, view) for view in views}
    _require([split_path, settings_path, *infos.values(), *arrays.values(), *code], cell)
    content, table = read_json(settings_path), read_table(split_path)
    images = table["image"].tolist()
    features = {view: load_features(arrays[view], read_json(infos[view]), images) for view in views}
    default = settings_from_json(content).of(REFIT)
    searched = Searched(head=cell.head, default=default, search=profile.search)
    inputs = studies_digest(cell.searched, searched, [split_path, settings_path, *infos.values(), *code])
    connect(Path.cwd())
    check_reachable()

    def study_name(fold: int) -> str:
        return f"{config.profile}/{cell.searched}/{fold_name(fold)}/{inputs[:12]}"

    def track(fold: int) -> AbstractContextManager[TrialReport]:
        identity = StudyIdentity(
            experiment=paths.experiment, study=study_name(fold), fold=fold_name(fold),
            dataset=cell.dataset, backbone=cell.backbone, head=cell.head,
        )  # fmt: skip
        params = {**profile.search.of_values(), "inputs": inputs}
        return track_study(storage, identity, params, trials=profile.search.trials)

    studies = search_cell(
        features, table, content["classes"], searched, storage, study_name=study_name, track=track
    )
    if arguments.trials_only:
        return
    result = search_result(studies, searched)
    about = {"dataset": cell.dataset, "backbone": cell.backbone, "head": cell.head}
    about |= {"inputs": inputs, "split": sha256(split_path), "device": device_name()}
    write_json(paths.found(cell), {**about, **result})


if __name__ == "__main__":
    run_guarded(main)
