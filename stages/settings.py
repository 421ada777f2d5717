"""Writes how each cell is fitted, by its recipe, and scored, and the features that baselines see."""

from __future__ import annotations

import argparse

from lung_attention.config import load_config
from lung_attention.errors import UserError, run_guarded
from lung_attention.files import read_json, sha256, write_json
from lung_attention.paths import PARAMS, Paths
from lung_attention.splits.settings import REFIT
from lung_attention.training.recipes import RECIPES


def main() -> None:
    """Runs the stage."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    config = load_config(PARAMS)
    profile, paths = config.active, Paths(config.profile)
    for cell in config.cells():
        dataset, entry = config.dataset(cell.dataset), RECIPES[cell.recipe]
        search = paths.search(cell)
        found = read_json(search) if search.exists() else None
        try:
            settings = entry.settings(profile.ingredients(dataset, cell.backbone, found))
        except UserError as error:
            raise UserError(
                f"{cell.name}: {search}: {error.problem}",
                remedy=f"make search DATASET={cell.dataset} BACKBONE={cell.backbone} HEAD={cell.head} "
                f"PROFILE={config.profile}",
            ) from error
        seen = {
            recipe.view: paths.features_info(cell.dataset, cell.backbone, recipe.view)
            for recipe in settings.by_fit.values()
        }
        if absent := [view for view, path in seen.items() if not path.exists()]:
            raise UserError(
                f"{cell.name} looks at {absent}, of which there are no features",
                remedy="add them to views in params.yaml, or search again",
            )
        infos = {view: read_json(path) for view, path in sorted(seen.items())}
        seeds, partitions = profile.seeds(dataset, cell.split), None
        if entry.repeated:
            seeds = list(range(profile.train.repeats(cell.recipe) if cell.split == "grouped" else 1))
            partitions = [profile.split.seed + seed for seed in seeds]
        content = {
            "classes": list(dataset.labels),
            "seeds": seeds,
            "partitions": partitions,
            "features": infos[settings.of(REFIT).view],
            **settings.as_json(),
        }
        # Said of such cells alone, so that those whose fits all look at the same stay as they are.
        if len(infos) > 1:
            content["views"] = infos
        if entry.images:
            content["archive_sha256"] = sha256(paths.archive(cell.dataset))
        write_json(paths.settings(cell), content)
    for name in config.datasets:
        dataset = config.dataset(name)
        views = {backbone: profile.recipe(dataset, backbone).view for backbone in config.backbones}
        content = {
            "features": {
                backbone: read_json(paths.features_info(name, backbone, view))
                for backbone, view in views.items()
            }
        }
        write_json(paths.baseline_settings(name), content)
        # DVC parses params.yaml anew for each stage that names a part of it, and cells are many.
        content = {
            "classes": list(dataset.labels),
            "unit": dataset.unit,
            "evaluate": profile.evaluate.model_dump(mode="json"),
        }
        write_json(paths.evaluation_settings(name), content)


if __name__ == "__main__":
    run_guarded(main)
