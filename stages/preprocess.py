"""Passes every image of a dataset through a frozen backbone, once for each view."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from lung_attention.config import load_config
from lung_attention.errors import run_guarded
from lung_attention.files import read_table
from lung_attention.images.decode import decode, read_members
from lung_attention.models.backbones import build_backbone
from lung_attention.models.classifier import build_preprocessing
from lung_attention.models.features import extract_features
from lung_attention.paths import PARAMS, Paths


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    for factor in ("dataset", "backbone", "view"):
        parser.add_argument(f"--{factor}", required=True)
    arguments = parser.parse_args()
    dataset, backbone, name = arguments.dataset, arguments.backbone, arguments.view
    config = load_config(PARAMS)
    settings, paths = config.active.preprocess, Paths(config.profile)
    view, size = config.active.view(config.dataset(dataset), name)
    images = read_table(paths.manifest(dataset))["image"].tolist()
    extract_features(
        (decode(content) for content in read_members(paths.archive(dataset), images)),
        images,
        preprocessing=build_preprocessing(backbone, view, size),
        backbone=build_backbone(backbone, size, weights=paths.backbone(backbone)),
        batch_size=settings.batch_size,
        path=paths.features(dataset, backbone, name),
        info_path=paths.features_info(dataset, backbone, name),
        info={"backbone": backbone, "view": asdict(view), "image_size_px": size},
    )


if __name__ == "__main__":
    run_guarded(main)
