"""Classifiers to measure predictions with: as they are saved, and exported. Speed depends on no weight."""

from __future__ import annotations

import argparse
from pathlib import Path

from lung_attention.images.view import View
from lung_attention.paths import PARAMS

CLASSES = ["first", "second", "third"]


def write_models(keras_file: Path, onnx_file: Path, *, backbone: str, head: str, size_px: int) -> None:
    """Writes one classifier with random weights in both formats.

    Args:
        keras_file: As the stage `train` saves it.
        onnx_file: As `lung-attention export` writes it.
        backbone: A key of `BACKBONES`.
        head: A key of `HEADS`.
        size_px: Side of the backbone's input.
    """
    from lung_attention.config import load_config
    from lung_attention.data.sample.calibration import calibration_images
    from lung_attention.models.backbones import build_backbone, random_backbone
    from lung_attention.models.classifier import build_classifier, build_preprocessing
    from lung_attention.models.heads import build_head
    from lung_attention.models.saving import save_model
    from lung_attention.predict.exporting import export_file

    recipe = load_config(PARAMS).profiles["local"].train.recipe
    calibrated = random_backbone(backbone, images=calibration_images(16, 64, seed=0), seed=0)
    network = build_backbone(backbone, size_px)
    network.set_weights(calibrated.get_weights())
    built = build_head(head, network.output_shape[1:], len(CLASSES), recipe, seed=0)
    view = View(None, "bilinear", antialias=False, standardise=False)
    save_model(build_classifier(build_preprocessing(backbone, view, size_px), network, built), keras_file)
    export_file(keras_file, onnx_file, name=f"{backbone}, {head}", classes=CLASSES)


def main() -> None:
    """Writes the models that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keras-file", type=Path, required=True)
    parser.add_argument("--onnx-file", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--head", required=True)
    parser.add_argument("--size-px", type=int, required=True)
    write_models(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
