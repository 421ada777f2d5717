"""Exports a cell: its model as ONNX, with all that whoever uses it should know."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from lung_attention.cells import Cell
from lung_attention.config import Config
from lung_attention.config.stages import Leaving
from lung_attention.errors import UserError
from lung_attention.evaluation.familiarity import Familiarity, fit_familiarity
from lung_attention.evaluation.prediction_sets import covered, set_threshold
from lung_attention.evaluation.predictions import Predictions, cluster_codes, predictions_to_arrays
from lung_attention.files import read_json, read_table, sha256
from lung_attention.images.decode import decode, read_members
from lung_attention.models.export import export_onnx
from lung_attention.models.feature_file import load_features
from lung_attention.models.logistic import pooled
from lung_attention.models.parts import Parts, passed
from lung_attention.models.saved import open_model
from lung_attention.paths import Paths
from lung_attention.predict.about import KEY, About, Shown, code_version
from lung_attention.splits.protocol import folds, is_cross_validation, refit
from lung_attention.training.recipes import RECIPES

Floats = npt.NDArray[np.floating]

_METRICS = ("accuracy", "balanced_accuracy", "auroc_ovr", "log_loss")
_LIMIT = "Made for research on published results; not a medical device, and not for diagnosis."


def export_cell(cell: Cell, config: Config, path: Path) -> None:
    """Writes the model of a cell as ONNX.

    Args:
        cell: A trained and evaluated cell of the profile in use.
        config: The configuration.
        path: The file.

    Raises:
        UserError: The cell is not trained, or not evaluated.
    """
    paths = Paths(config.profile)
    for needed in (paths.model(cell), paths.metrics(cell), paths.settings(cell)):
        if not needed.exists():
            raise UserError(
                f"{needed} is missing: {cell.name} is not trained and evaluated here",
                remedy=f"make repro{'' if config.profile == 'sample' else f' PROFILE={config.profile}'}",
            )
    model = open_model(paths.model(cell))
    familiarity = _familiarity(cell, model, config, paths)
    about = describe(cell, config, paths, familiarity)
    export_onnx(model, path, familiarity=familiarity, metadata={KEY: about.model_dump_json()})


def export_file(keras_file: Path, path: Path, *, name: str, classes: list[str] | None) -> None:
    """Writes a saved classifier of which nothing but the file is known as ONNX.

    Args:
        keras_file: A `.keras` file of this project.
        path: The file that is written.
        name: What the model is called.
        classes: In the order of the probabilities; None where nobody knows, so that they are numbered.

    Raises:
        UserError: The file is no such classifier.
    """
    try:
        model = open_model(keras_file)
        pixels = {layer.name: layer for layer in Parts(model).preprocessing.layers}
        shown = Shown(
            crop_px=pixels["crop"].size_px if "crop" in pixels else None, size_px=pixels["resize"].height
        )
    except Exception as error:  # Keras has no class of its own for files that it cannot read
        raise UserError(
            f"{keras_file} is no classifier of this project ({str(error).splitlines()[0]})",
            remedy="lung-attention predict CELL IMAGE",
        ) from error
    about = About(
        name=name,
        title="unknown",
        classes=classes or [f"class {number}" for number in range(model.output_shape[-1])],
        shown=shown,
        metrics={},
        measured="nothing but the model is known here, no figure of it",
        confidence=0.95,
        limits=[_LIMIT],
        licence="unknown",
        citation="unknown",
        model_sha256=sha256(keras_file),
        code=code_version(),
    )
    export_onnx(model, path, familiarity=None, metadata={KEY: about.model_dump_json()})


def describe(cell: Cell, config: Config, paths: Paths, familiarity: Familiarity | None) -> About:
    """What a model says about itself.

    Args:
        cell: Its cell.
        config: The configuration.
        paths: Where its files lie.
        familiarity: What distances refer to.

    Returns:
        The description, its metrics those of `metrics.json`.
    """
    dataset, leaving = config.dataset(cell.dataset), config.active.export
    found, info = read_json(paths.metrics(cell)), read_json(paths.settings(cell))["features"]
    metrics = {
        name: (found[name], found.get(f"{name}_low"), found.get(f"{name}_high"))
        for name in _METRICS
        if found.get(name) is not None
    }
    sets = _sets(predictions_to_arrays(read_table(paths.predictions(cell)), dataset.labels), leaving)
    limits = [*config.active.stand_ins, _LIMIT]
    if cell.split != "grouped":
        limits.append(
            "Its metrics come from the published split, where related images stand on both sides: they are "
            "too good."
        )
    return About(
        name=cell.name,
        title=dataset.title,
        classes=list(dataset.labels),
        shown=Shown(crop_px=info["view"]["crop_px"], size_px=info["image_size_px"]),
        window=None if dataset.window is None else (dataset.window.level_hu, dataset.window.width_hu),
        metrics=metrics,
        measured=f"{cell.split} split, {found['n_test']:,} images, intervals over {found['unit']}",
        confidence=config.active.evaluate.confidence,
        familiar=None if familiarity is None else leaving.familiar,
        distance_threshold=None if familiarity is None else familiarity.threshold,
        limits=limits,
        licence=dataset.licence,
        citation=dataset.citation,
        model_sha256=sha256(paths.model(cell)),
        code=code_version(),
        **sets,
    )


def _sets(predictions: Predictions, leaving: Leaving) -> dict[str, Any]:
    """The sets of classes, from predictions of images whose groups the models had not seen."""
    labels, probabilities = predictions.labels, predictions.probabilities[0]
    groups, _ = cluster_codes(predictions.images, predictions.groups)
    held, size = covered(probabilities, labels, groups, coverage=leaving.coverage)
    truth = probabilities[np.arange(len(labels)), labels]
    return {
        "coverage": leaving.coverage,
        "covered": held,
        "set_size": size,
        "set_threshold": set_threshold(truth, groups, coverage=leaving.coverage),
    }


def _familiarity(cell: Cell, model: keras.Model, config: Config, paths: Paths) -> Familiarity | None:
    """The distribution of the images that the kept model was fitted on; None where they are too few."""
    table, leaving = read_table(paths.split(cell.dataset, cell.split)), config.active.export
    fitted = refit(table) if is_cross_validation(table) else next(folds(table))
    known = read_table(paths.groups(cell.dataset))["group"].to_numpy(dtype=object)
    groups, _ = cluster_codes(table["image"].to_numpy(dtype=object), known)
    labels = np.array([config.dataset(cell.dataset).labels.index(one) for one in table["label"]])
    rows = fitted.train
    if len(set(groups[rows].tolist())) < leaving.folds:
        return None
    x = _averaged(cell, model, paths, table["image"].tolist())
    return fit_familiarity(
        x[rows],
        labels[rows],
        groups[rows],
        share=leaving.familiar,
        folds=leaving.folds,
        seed=leaving.seed,
    )


def _averaged(cell: Cell, model: keras.Model, paths: Paths, images: list[str]) -> Floats:
    """Features averaged over each image, `(n, channels)`, by the backbone of the model."""
    if not RECIPES[cell.recipe].images:
        info: Mapping[str, Any] = read_json(paths.settings(cell))["features"]
        features = load_features(paths.features(cell.dataset, cell.backbone, info["name"]), info, images)
        return pooled(features)[:, : features.shape[-1]]
    # The recipe changed the backbone, so that the features on disk are not its own.
    parts = Parts(model)
    pixels = map(decode, read_members(paths.archive(cell.dataset), images))
    of_images = passed(pixels, preprocessing=parts.preprocessing, backbone=parts.backbone)
    return np.concatenate([features.mean(axis=(1, 2)) for features in of_images])
