"""The files that the training of a cell leaves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lung_attention.cells import Cell
from lung_attention.files import write_json, write_table
from lung_attention.images.view import View
from lung_attention.models.backbones import build_backbone
from lung_attention.models.classifier import build_classifier, build_preprocessing
from lung_attention.models.saving import save_model
from lung_attention.paths import Paths
from lung_attention.training.fits import FittedCell
from lung_attention.training.fitting import device_name
from lung_attention.writing import replacing


def keep_cell(
    fitted: FittedCell, cell: Cell, paths: Paths, *, info: Mapping[str, Any], record: Mapping[str, Any]
) -> None:
    """Writes model, predictions, learning curves, and a record of the training.

    Args:
        fitted: What the fits gave.
        cell: The cell.
        paths: Where its files lie.
        info: The description of the features that were fitted on.
        record: What identifies the training, for the record.
    """
    classifier, trainable = fitted.classifier, fitted.head.count_params()
    if classifier is None:
        view, size = View(**info["view"]), info["image_size_px"]
        backbone = build_backbone(cell.backbone, size, weights=paths.backbone(cell.backbone))
        classifier = build_classifier(build_preprocessing(cell.backbone, view, size), backbone, fitted.head)
    else:
        trainable = sum(math.prod(weights.shape) for weights in classifier.trainable_weights)
    with replacing(paths.model(cell)) as temporary:
        save_model(classifier, temporary)
    write_table(paths.raw_predictions(cell), fitted.predictions)
    write_table(paths.raw_history(cell), fitted.history)
    write_json(
        paths.training_info(cell),
        {
            **record,
            "chosen": fitted.chosen,
            "device": device_name(),
            "trainable_parameters": trainable,
            "parameters": classifier.count_params(),
        },
    )
