"""What a training leaves of a cell: its model, predictions, learning curves, and a record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lung_attention.cells import Cell, Paths
from lung_attention.files import replacing, write_json, write_table
from lung_attention.fits import FittedCell
from lung_attention.models.backbones import build_backbone
from lung_attention.models.classifier import Resize, build_classifier, build_preprocessing
from lung_attention.models.saving import save_model
from lung_attention.training import device_name


def write_trained_cell(
    fitted: FittedCell,
    cell: Cell,
    paths: Paths,
    *,
    resize: Mapping[str, Any],
    inputs: str,
    params: Mapping[str, Any],
) -> None:
    """Writes the files of a fitted cell.

    Args:
        fitted: What its fits gave.
        cell: The cell.
        paths: Where its files lie, and the weights of its backbone.
        resize: The arguments of `Resize` that its features were made with.
        inputs: A hash of all that determines the result.
        params: The parameters of the training, flat.
    """
    squeeze = Resize(**resize)
    backbone = build_backbone(cell.backbone, squeeze.image_size_px, weights=paths.backbone(cell.backbone))
    classifier = build_classifier(build_preprocessing(cell.backbone, squeeze), backbone, fitted.head)
    with replacing(paths.model(cell)) as temporary:
        save_model(classifier, temporary)
    write_table(paths.raw_predictions(cell), fitted.predictions)
    write_table(paths.raw_history(cell), fitted.history)
    record = {
        "inputs": inputs,
        "params": dict(params),
        "device": device_name(),
        "trainable_parameters": fitted.head.count_params(),
        "parameters": classifier.count_params(),
    }
    write_json(paths.training_info(cell), record)
