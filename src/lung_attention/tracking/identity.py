"""What a run is: by this, and by no stored id, it is found again."""

from __future__ import annotations

import colorsys
import hashlib
from dataclasses import asdict, dataclass

from lung_attention.cells import FACTORS

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
        head: Head name.
        recipe: Recipe name.
        split: `published` or `grouped`.
    """

    experiment: str
    name: str
    stage: str
    inputs: str
    dataset: str
    backbone: str
    head: str
    recipe: str
    split: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags by which people filter and by which the run is found again."""
        fields = asdict(self)
        return {"kind": "cell"} | {key: fields[key] for key in ("stage", "inputs", *FACTORS)}

    @property
    def colour(self) -> str:
        """The run's colour in MLflow's charts, `#rrggbb`.

        MLflow picks one of a few by the run's id, so that two of six often look alike. Here the hue tells
        dataset and head, the lightness the backbone, the saturation the split.
        """
        hue = _fraction(f"{self.dataset}-{self.head}-{self.recipe}")
        lightness = 0.3 + 0.35 * _fraction(self.backbone)
        saturation = 0.4 if self.split == "grouped" else 0.85
        rgb = colorsys.hls_to_rgb(hue, lightness, saturation)
        return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)


def _fraction(name: str) -> float:
    """A number of [0, 1) that any name has, on every machine the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32


def fit_name(fit: Fit) -> str:
    """The name of a fit's run."""
    seed, fold = fit
    return f"seed-{seed} refit" if fold == -1 else f"seed-{seed} fold-{fold}"
