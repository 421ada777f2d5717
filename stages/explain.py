"""Looks at where a network looks, and measures what such maps are worth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from lung_attention.cells import cell_of_arguments
from lung_attention.config import Dataset, load_config
from lung_attention.errors import UserError, run_guarded
from lung_attention.evaluation.predictions import cluster_codes
from lung_attention.explain.location import Boxes, evenness
from lung_attention.explain.maps import Looked
from lung_attention.explain.measure import (
    Noise,
    Rows,
    evenly,
    likeness_after_shuffling,
    likeness_of_refits,
    location,
    look,
    pictured,
)
from lung_attention.explain.refits import can_be_refitted, refits
from lung_attention.files import read_json, read_table, write_json
from lung_attention.images.decode import decode, read_members
from lung_attention.models.feature_file import load_features
from lung_attention.models.parts import Pixels
from lung_attention.models.saved import open_model
from lung_attention.paths import PARAMS, Paths
from lung_attention.plots.maps import Looking, map_sheet, picture_of
from lung_attention.splits.protocol import folds, is_cross_validation
from lung_attention.writing import replacing


def main() -> None:
    """Runs the stage."""
    cell = cell_of_arguments(__doc__)
    config = load_config(PARAMS)
    paths, dataset, settings = Paths(config.profile), config.dataset(cell.dataset), config.active.explain
    model = open_model(paths.model(cell))
    if "soft_attention" not in [layer.name for layer in model.get_layer("head").layers]:
        raise UserError(
            f"{cell.name} has no attention", remedy="name heads that have it: explained in params.yaml"
        )
    looked = Looked(model)

    split = read_table(paths.split(cell.dataset, cell.split))
    fitted_on = is_cross_validation(split)  # then the model that is kept was fitted on all images
    table = split if fitted_on else split.iloc[next(folds(split)).test]
    if dataset.marked is None:
        table = table.iloc[evenly(table["label"].tolist(), settings.measured)]
    labels, images = table["label"].tolist(), table["image"].tolist()

    def read(rows: Rows) -> Iterator[Pixels]:
        return map(decode, read_members(paths.archive(cell.dataset), [images[row] for row in rows]))

    draws = range(settings.seed, settings.seed + settings.draws)
    untrained = [] if dataset.marked is None else list(draws)
    seen = look(looked, read, len(table), untrained=untrained, what=cell.name)
    found = seen.maps
    gamma = float(np.asarray(looked.attention.gamma))
    content = read_json(paths.settings(cell))
    shown = looked.shown(read(evenly(labels, settings.measured)))
    boxes = boxes_of(dataset, read_table(paths.manifest(cell.dataset)), images)
    record: dict[str, Any] = {
        "cell": cell.name,
        "images": len(table),
        "seen_in_training": fitted_on,
        "gamma": gamma,
        "changed": abs(gamma) * float(found.attention.mean()),  # of a feature, as a share of it
        "evenness": evenness(found.attention),
        "shuffled": likeness_after_shuffling(
            looked,
            shown,
            draws=settings.shuffles,
            noise=Noise(settings.noise.copies, settings.noise.strength),
            seed=settings.seed,
        ),
        "repeated": None,
        "location": None,
    }
    if can_be_refitted(cell, split):
        info = content["features"]
        features = load_features(
            paths.features(cell.dataset, cell.backbone, info["name"]), info, split["image"].tolist()
        )
        heads = list(refits(cell, features, split, content, wanted=settings.refits))
        record["repeated"] = {"fits": 1 + len(heads)} | likeness_of_refits(
            looked, shown, heads, seed=settings.seed
        )
    if boxes is not None:
        groups = read_table(paths.groups(cell.dataset)).set_index("image")["group"].reindex(images)
        clusters, _ = cluster_codes(np.array(images, dtype=object), groups.to_numpy(dtype=object))
        evaluation = config.active.evaluate
        record["location"] = {"unit": dataset.unit} | location(
            seen,
            boxes,
            clusters,
            draws=settings.draws,
            seed=settings.seed,
            resamples=evaluation.resamples,
            confidence=evaluation.confidence,
            bootstrap_seed=evaluation.seed,
        )
    predicted = [dataset.labels[code] for code in found.probabilities.argmax(axis=1)]
    rows = pictured(np.array(predicted) == np.array(labels), labels, settings.shown)
    crop_px = content["features"]["view"]["crop_px"]
    lookings = [
        Looking(
            image,
            crop_px,
            found.attention[row],
            found.gradcam[row],
            labels[row],
            predicted[row],
            float(found.probabilities[row].max()),
            None if boxes is None else boxes.of(row),
        )
        for row, image in zip(rows, read(rows), strict=True)
    ]
    with replacing(paths.maps_picture(cell)) as temporary:
        picture_of(map_sheet(lookings)).save(temporary, "webp", quality=82, method=6)
    write_json(paths.maps(cell), record)


def boxes_of(dataset: Dataset, manifest: pd.DataFrame, images: list[str]) -> Boxes | None:
    """What is marked in images; None where nobody has marked any."""
    if dataset.marked is None:
        return None
    rows = manifest.set_index("image").loc[images]
    columns = [*dataset.marked.centre, *dataset.marked.size]
    return Boxes.around(*(rows[name].to_numpy(dtype=np.float64) for name in columns))


if __name__ == "__main__":
    run_guarded(main)
