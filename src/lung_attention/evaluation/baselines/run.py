"""All baselines on a split: their predictions, and what they chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lung_attention.evaluation.baselines.settings import BaselineSettings
from lung_attention.evaluation.baselines.table import Baseline, Images
from lung_attention.evaluation.baselines.training_part import Training
from lung_attention.evaluation.predictions import cluster_codes
from lung_attention.splits.alignment import check_split
from lung_attention.splits.protocol import folds


@dataclass(frozen=True)
class MeasuredBaselines:
    """What the baselines give on a split.

    Attributes:
        predictions: baseline,image,label,group,fold,seed,prediction,probability_<class>…, by baseline, then
            as in the manifest. Probabilities can be exactly 0.
        chosen: For each baseline and fold (its number as text) what was chosen among candidates, by name;
            baselines that choose nothing have no folds.
    """

    predictions: pd.DataFrame
    chosen: dict[str, dict[str, dict[str, float]]]


def run_baselines(
    baselines: Mapping[str, Baseline],
    split: pd.DataFrame,
    images: Images,
    classes: tuple[str, ...],
    settings: BaselineSettings,
) -> MeasuredBaselines:
    """Predicts the test images of a split with each baseline.

    Validation images are not used: adding them to the training images would give a baseline more than the
    networks are trained on. What is chosen among candidates is chosen by inner folds of the training images,
    which keep the split's groups together as far as it names them.

    Args:
        baselines: By name, all of `baselines_of` or some.
        split: A split table, rows as in the manifest. Published: training images predict test images.
            Grouped: each fold is predicted from all others, so that every image is predicted once.
        images: What there is to be seen.
        classes: Class names in label order.
        settings: Of the baselines.

    Returns:
        Predictions, and what was chosen.

    Raises:
        UserError: The split does not name the manifest's images, or has unknown subsets; or a covariate is no
            column of numbers.
    """
    check_split(split, images.manifest)
    labels = np.array([classes.index(label) for label in split["label"]], dtype=np.int64)
    clusters, _ = cluster_codes(split["image"].to_numpy(dtype=object), split["group"].to_numpy(dtype=object))
    rounds = list(folds(split))
    tested = np.concatenate([fold.test for fold in rounds])
    order = np.argsort(tested, kind="stable")
    table = split[["image", "label", "group"]].iloc[tested[order]].reset_index(drop=True)
    table["fold"] = np.concatenate([np.full(len(fold.test), fold.number) for fold in rounds])[order]
    table["seed"] = settings.seed
    tables, chosen = [], {}
    for name, baseline in baselines.items():
        seen = baseline.see(images)
        found = [
            baseline.predict(
                seen[fold.train],
                seen[fold.test],
                Training(labels[fold.train], clusters[fold.train], len(classes), settings),
            )
            for fold in rounds
        ]
        probabilities = np.concatenate([one.probabilities for one in found])[order]
        tables.append(_table(name, table, probabilities, classes))
        chosen[name] = {
            str(fold.number): one.chosen for fold, one in zip(rounds, found, strict=True) if one.chosen
        }
    return MeasuredBaselines(pd.concat(tables, ignore_index=True), chosen)


def _table(
    name: str, images: pd.DataFrame, probabilities: NDArray[np.float64], classes: tuple[str, ...]
) -> pd.DataFrame:
    table = images.copy()
    table.insert(0, "baseline", name)
    table["prediction"] = np.array(classes, dtype=object)[probabilities.argmax(axis=1)]
    for code, label in enumerate(classes):
        table[f"probability_{label}"] = probabilities[:, code]
    return table
