"""Provides the weights of a backbone: seeded random ones, or a verified copy of ImageNet weights."""

from __future__ import annotations

import argparse
import shutil

from lung_attention.config import load_config
from lung_attention.data.sources.resolve import find_weights, verify
from lung_attention.errors import run_guarded
from lung_attention.paths import PARAMS, Paths
from lung_attention.writing import replacing


def main() -> None:
    """Runs the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", required=True)
    name = parser.parse_args().backbone
    config = load_config(PARAMS)
    settings = config.active.backbone
    with replacing(Paths(config.profile).backbone(name)) as temporary:
        if settings.source == "random":
            from lung_attention.data.sample.calibration import calibration_images
            from lung_attention.models.backbones import random_backbone

            images = calibration_images(
                settings.calibration_images, settings.calibration_size_px, seed=settings.seed
            )
            random_backbone(name, images=images, seed=settings.seed).save_weights(temporary)
        else:
            source = find_weights(name, source=settings.source)
            verify(source, expected=settings.checksums.get(name))
            shutil.copyfile(source, temporary)


if __name__ == "__main__":
    run_guarded(main)
