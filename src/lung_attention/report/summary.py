"""summary.csv: a row a cell, the published result and the baselines beside ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from lung_attention.data.published import PublishedResult

_SCORES = (
    "accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy", "mcc", "auroc_ovr", "log_loss",
)  # fmt: skip
_COLUMNS = (
    "dataset", "backbone", "head", "recipe", "split", "n_test", *_SCORES, "published_accuracy",
    "trainable_parameters", "device", "unit", "n_groups", "n_seeds", "accuracy_seed_sd",
)  # fmt: skip


def summary_table(
    metrics: Iterable[Mapping[str, Any]],
    published: Sequence[PublishedResult],
    baselines: Mapping[tuple[str, str], Mapping[str, Any]],
) -> pd.DataFrame:
    """Puts the cells below each other.

    Args:
        metrics: The content of `metrics.json` of each cell, in the order wanted.
        published: The published results.
        baselines: Scores of the baselines for each dataset and split; may be empty.

    Returns:
        dataset,backbone,head,recipe,split,n_test,accuracy,accuracy_low,accuracy_high,balanced_accuracy,mcc,
        auroc_ovr,log_loss,published_accuracy (of the same dataset and backbone, whatever head and split),
        trainable_parameters,device,unit (what the intervals resample),n_groups,n_seeds,accuracy_seed_sd and
        <baseline>_accuracy for each baseline of any of the datasets, on the same split. What is undefined
        or unknown is missing.
    """
    theirs = {(result.dataset, result.backbone): result.n_right / result.n_test for result in published}
    names = dict.fromkeys(name for scores in baselines.values() for name in scores)
    rows = []
    for cell in metrics:
        simple = baselines.get((cell["dataset"], cell["split"]), {})
        row = {name: cell.get(name) for name in _COLUMNS}
        row["n_seeds"] = len(cell["seeds"])
        row["published_accuracy"] = theirs.get((cell["dataset"], cell["backbone"]))
        row |= {f"{name}_accuracy": simple.get(name, {}).get("accuracy") for name in names}
        rows.append(row)
    return pd.DataFrame(rows, columns=[*_COLUMNS, *(f"{name}_accuracy" for name in names)])
