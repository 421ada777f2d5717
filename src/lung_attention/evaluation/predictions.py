"""From what a training writes to the committed predictions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lung_attention.evaluation.metrics import with_groups


def complete_predictions(raw: pd.DataFrame, groups: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Adds each image's group and predicted class.

    Groups are not known to the training: the published protocol ignores them, and the unit of a bootstrap
    must not force a network to be trained again.

    Args:
        raw: image,label,fold,seed and probability_<class> for each class.
        groups: image,group; a row an image, all images of the dataset.
        classes: Class names in label order.

    Returns:
        image,label,group,fold,seed,prediction and probability_<class> for each class, rows as in `raw`.
        Of equal probabilities the first class in label order is predicted.

    Raises:
        UserError: A predicted image has no group entry.
    """
    columns = [f"probability_{name}" for name in classes]
    predicted = np.asarray(classes)[raw[columns].to_numpy().argmax(axis=1)]
    table = with_groups(raw, groups).assign(prediction=predicted)
    return table[["image", "label", "group", "fold", "seed", "prediction", *columns]]
