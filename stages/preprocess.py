"""Passes every image of a dataset through a frozen backbone, once."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import read_table
from lung_attention.images.decode import decode, read_members
from lung_attention.models.backbones import build_backbone
from lung_attention.models.classifier import Resize, build_preprocessing
from lung_attention.models.features import extract_features
from lung_attention.paths import PARAMS, Paths


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--backbone", required=True)
    arguments = parser.parse_args()
    config = load_config(PARAMS)
    settings = config.active.preprocess
    paths = Paths(config.profile)
    images = read_table(paths.manifest(arguments.dataset))["image"].tolist()
    resize = Resize(
        image_size_px=settings.image_size_px[arguments.dataset],
        interpolation=settings.interpolation,
        antialias=settings.antialias,
    )
    extract_features(
        (decode(content) for content in read_members(paths.archive(arguments.dataset), images)),
        images,
        preprocessing=build_preprocessing(arguments.backbone, resize),
        backbone=build_backbone(
            arguments.backbone, resize.image_size_px, weights=paths.backbone(arguments.backbone)
        ),
        batch_size=settings.batch_size,
        path=paths.features(arguments.dataset, arguments.backbone),
        info_path=paths.features_info(arguments.dataset, arguments.backbone),
        info={"backbone": arguments.backbone, "resize": asdict(resize)},
    )


if __name__ == "__main__":
    run_guarded(main)
