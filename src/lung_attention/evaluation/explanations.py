"""Why a result is off: runs with one setting changed, set beside the published result in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from lung_attention.data.published import PublishedResult
from lung_attention.evaluation.verdicts import ABOVE, BELOW, WITHIN, reproduction

MEETS, NEARER, NO_NEARER = "then within sampling error", "nearer, still off", "no nearer"


def experiments_on(
    entry: Mapping[str, Any], published: PublishedResult, experiments: pd.DataFrame, *, confidence: float
) -> list[dict[str, Any]]:
    """What experiments say about one published result that ours does not meet.

    Args:
        entry: Its entry of `reproduction` (schema in `comparisons`).
        published: The published result.
        experiments: A row an experiment and cell: experiment,settings,dataset,backbone,head,split,n_test,
            accuracy,accuracy_low,accuracy_high. Those on other cells are left out.
        confidence: Of all intervals.

    Returns:
        For each experiment on this cell `experiment`, `settings`, `n_test`, `accuracy`, `low`, `high` (of the
        accuracy), `difference` (experiment − published) and `finding`: with the setting changed the result
        lies within the sampling error of the published one, or is still off on the same side but nearer, or
        neither. A result that is met does not say that the setting is all of the gap: the difference that is
        left stands beside. Empty where ours is not off.
    """
    if entry["verdict"] not in (ABOVE, BELOW):
        return []
    chosen = (
        (experiments["dataset"] == entry["dataset"])
        & (experiments["backbone"] == entry["backbone"])
        & (experiments["head"] == entry["head"])
        & (experiments["split"] == "published")
    )
    found = []
    for row in experiments[chosen].itertuples():
        accuracy, low, high = float(row.accuracy), float(row.accuracy_low), float(row.accuracy_high)
        outcome = reproduction(published, accuracy, low, high, confidence=confidence)
        found.append(
            {
                "experiment": str(row.experiment),
                "settings": str(row.settings),
                "n_test": int(row.n_test),
                "accuracy": accuracy,
                "low": low,
                "high": high,
                "difference": outcome["difference"],
                "finding": _finding(entry, outcome),
            }
        )
    return found


def _finding(entry: Mapping[str, Any], outcome: Mapping[str, Any]) -> str:
    if outcome["verdict"] == WITHIN:
        return MEETS
    same_side = outcome["verdict"] == entry["verdict"]
    return NEARER if same_side and abs(outcome["difference"]) < abs(entry["difference"]) else NO_NEARER
