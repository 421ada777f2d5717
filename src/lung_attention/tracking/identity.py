"""What a run is: by this, and by no stored id, it is found again."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lung_attention.data.catalog import DATASETS

_BACKBONES = ("mobilenetv2", "densenet121")

Fit = tuple[int, int]  # seed and fold; fold -1 is the refit on all images


@dataclass(frozen=True)
class RunIdentity:
    """What a run is. Two runs with equal `stage` and `inputs` are the same training.

    Attributes:
        experiment: `lung-attention/<profile>`.
        name: The cell's name.
        stage: The DVC stage that trains it.
        inputs: SHA-256 (64 hexadecimal digits) over everything the training reads.
        dataset: Dataset id.
        backbone: Backbone name.
        head: `plain` or `attention`, with `_tuned` where a search found the settings.
        split: `published` or `grouped`.
    """

    experiment: str
    name: str
    stage: str
    inputs: str
    dataset: str
    backbone: str
    head: str
    split: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which people filter and by which the run is found again."""
        fields = asdict(self)
        return {"kind": "cell"} | {
            key: fields[key] for key in ("stage", "inputs", "dataset", "backbone", "head", "split")
        }

    @property
    def colour(self) -> str:
        """The run's colour in MLflow's charts, `#rrggbb`.

        MLflow picks one of a few by the run's id, so that two of six often look alike. Here the hue tells
        the dataset and head, the lightness the backbone, the saturation the split.
        """
        hue = _place(self.dataset, list(DATASETS)) + 0.4 * self.head.startswith("attention")
        lightness = (0.3, 0.6, 0.45)[_place(self.backbone, _BACKBONES)]
        saturation = 0.4 if self.split == "grouped" else 0.85
        rgb = colorsys.hls_to_rgb(hue / (len(DATASETS) + 1), lightness, saturation)
        return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def _place(name: str, known: Sequence[str]) -> int:
    return known.index(name) if name in known else len(known)


def fit_name(fit: Fit) -> str:
    """The name of a fit's run."""
    seed, fold = fit
    return f"seed-{seed} refit" if fold == -1 else f"seed-{seed} fold-{fold}"
