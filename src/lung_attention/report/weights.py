"""Which weights the backbones had, as far as their hashes tell."""

from __future__ import annotations

from lung_attention.config import Config
from lung_attention.models.backbone_table import title

# Keras' published ImageNet weights without top, rewritten as files of today's layout. In that of MobileNetV2
# batch normalisation is folded into the convolutions, which is the same network while it is frozen.
IMAGENET = {
    "mobilenetv2": frozenset({"7e9eddc409e08647630ac6e0de0642af9f33e8d778e920df9d7089aa56a79ebd"}),
    "densenet121": frozenset({"0142d51240a0752a26a858c544e9b2e0ae5f0effbf961bd882100a345b1617d9"}),
}
"""SHA-256 of files that are known to hold the ImageNet weights of a backbone."""


def weights_told(config: Config) -> str:
    """What is known of the weights of each backbone; empty where they are random ones.

    Any file with arrays of the right shapes is taken for a backbone's weights, so that one of other training
    gives results, too. The hashes are those that `make repro PROFILE=…` wrote into the parameters of its run.

    Args:
        config: The parameters of the results.
    """
    settings = config.active.backbone
    if settings.source == "random":
        return ""
    return "; ".join(_told(name, settings.checksums.get(name)) for name in config.backbones) + "."


def _told(backbone: str, digest: str | None) -> str:
    if digest is None:
        return f"{title(backbone)}: weights of unknown origin, as no SHA-256 of their file was recorded"
    if digest in IMAGENET.get(backbone, ()):
        return f"{title(backbone)}: ImageNet weights (their SHA-256 is known: `{digest[:12]}…`)"
    return f"{title(backbone)}: weights of unknown origin (SHA-256 `{digest}`)"
