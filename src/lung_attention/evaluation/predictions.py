"""From what a training writes to the committed predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lung_attention.errors import UserError


def complete_predictions(
    raw: pd.DataFrame, images: Sequence[str], groups: Sequence[str], classes: Sequence[str]
) -> pd.DataFrame:
    """Adds each image's group and predicted class.

    Groups are not known to the training: the published protocol ignores them, and the unit of a bootstrap
    must not force a network to be trained again.

    Args:
        raw: image,label,fold,seed and probability_<class> for each class.
        images: All images of the dataset.
        groups: The group of each of them.
        classes: Class names in label order.

    Returns:
        image,label,group,fold,seed,prediction and probability_<class> for each class, rows as in `raw`.
        Of equal probabilities the first class in label order is predicted.

    Raises:
        UserError: A predicted image has no group entry.
    """
    group_of = pd.Series(list(groups), index=list(images), dtype="str")
    missing = ~raw["image"].isin(group_of.index)
    if missing.any():
        raise UserError(
            f"image {raw['image'][missing].iloc[0]!r} was predicted but has no group", remedy="dvc repro"
        )
    probabilities = raw[[f"probability_{name}" for name in classes]]
    table = raw[["image", "label"]].copy()
    table["group"] = group_of.reindex(raw["image"]).to_numpy()
    table[["fold", "seed"]] = raw[["fold", "seed"]]
    table["prediction"] = np.asarray(classes)[probabilities.to_numpy().argmax(axis=1)]
    return pd.concat([table, probabilities], axis=1)
