"""Published results beside ours: what `reproduction` of `comparisons.json` holds.

An entry for each published result and head, by the published recipe, has `dataset`, `backbone`, `head`,
`published` `{accuracy, low, high, n_right, n_test}`, `ours` `{accuracy, low, high, n_test, n_groups, seeds,
seed_sd}` or null, and where it was assessed (else null)

- `difference`, `low`, `high`: ours − published, both test sets taken as independent;
- `p_value`, the two-sided p value that belongs to this interval, `p_holm`, adjusted over the assessed results
  of the same head, and `verdict_holm`;
- `overlap` `{p_smallest, p_largest}`: McNemar's exact p value if both test sets are the same images, over
  every number of images that both may get wrong, and over our seeds; null where the test sets differ in size.

`verdict` is within sampling error, above, below, open (no such cell) or stand-in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scipy.stats import binomtest, norm

from lung_attention.cells import PUBLISHED, Cell
from lung_attention.data.published import PublishedResult
from lung_attention.evaluation.measured import Measured
from lung_attention.evaluation.multiplicity import holm
from lung_attention.evaluation.verdicts import (
    ABOVE,
    BELOW,
    OPEN,
    STAND_IN,
    WITHIN,
    published_interval,
    reproduction,
)

_HEADS = ("plain", "attention")
_NOT_ASSESSED = dict.fromkeys(
    ("difference", "low", "high", "p_value", "p_holm", "verdict_holm", "overlap")
)  # fmt: skip


def reproductions(
    published: Sequence[PublishedResult],
    measured: Mapping[Cell, Measured],
    *,
    stand_in: bool,
    confidence: float,
) -> list[dict[str, Any]]:
    """Sets each published result beside ours.

    Args:
        published: The published results.
        measured: The cells.
        stand_in: Whether images or backbones are stand-ins, of which no verdict is given.
        confidence: Of the intervals, such as 0.95.

    Returns:
        The entries that the module describes.
    """
    entries = [
        _entry(result, head, measured, stand_in=stand_in, confidence=confidence)
        for result in published
        for head in _HEADS
    ]
    for head in _HEADS:
        family = [entry for entry in entries if entry["head"] == head and entry["p_value"] is not None]
        for entry, adjusted in zip(family, holm([entry["p_value"] for entry in family]), strict=True):
            entry["p_holm"] = adjusted
            sure = adjusted < 1 - confidence
            entry["verdict_holm"] = (ABOVE if entry["difference"] > 0 else BELOW) if sure else WITHIN
    return entries


def _entry(
    result: PublishedResult,
    head: str,
    measured: Mapping[Cell, Measured],
    *,
    stand_in: bool,
    confidence: float,
) -> dict[str, Any]:
    low, high = published_interval(result, confidence=confidence)
    entry: dict[str, Any] = {
        "dataset": result.dataset,
        "backbone": result.backbone,
        "head": head,
        "published": {
            "accuracy": result.n_right / result.n_test,
            "low": low,
            "high": high,
            "n_right": result.n_right,
            "n_test": result.n_test,
        },
        "ours": None,
        **_NOT_ASSESSED,
        "verdict": OPEN,
    }
    ours = measured.get(Cell(result.dataset, result.backbone, head, PUBLISHED, "published"))
    if ours is None:
        return entry
    accuracy, (our_low, our_high) = ours.point("accuracy"), ours.intervals["accuracy"]
    spread = ours.per_seed["accuracy"]
    entry["ours"] = {
        "accuracy": accuracy,
        "low": our_low,
        "high": our_high,
        "n_test": len(ours.predictions.images),
        "n_groups": ours.predictions.clusters()[1],
        "seeds": list(ours.predictions.seeds),
        "seed_sd": float(spread.std(ddof=1)) if len(spread) > 1 else 0.0,
    }
    if stand_in:
        return entry | {"verdict": STAND_IN}
    entry |= reproduction(result, accuracy, our_low, our_high, confidence=confidence)
    entry["p_value"] = interval_p_value(
        entry["difference"], entry["low"], entry["high"], confidence=confidence
    )
    if len(ours.predictions.images) == result.n_test:
        theirs = result.n_test - result.n_right
        bounds = [
            overlap_bounds(int(wrong), theirs, result.n_test)
            for wrong in (~ours.predictions.right).sum(axis=1)
        ]
        entry["overlap"] = {
            "p_smallest": min(smallest for smallest, _ in bounds),
            "p_largest": max(largest for _, largest in bounds),
        }
    return entry


def interval_p_value(difference: float, low: float, high: float, *, confidence: float) -> float:
    """Two-sided p value of no difference that belongs to an interval.

    The interval may be lopsided; its side towards 0 counts, taken as that of a normal deviation. So the p
    value is below 1 − confidence just where the interval leaves 0 out.

    Args:
        difference: The difference.
        low: Lower bound of its interval.
        high: Upper bound.
        confidence: Of the interval, such as 0.95.
    """
    towards_zero = difference - low if difference > 0 else high - difference
    if difference == 0:
        return 1.0
    if towards_zero <= 0:
        return 0.0
    z = abs(difference) / towards_zero * float(norm.isf((1 - confidence) / 2))
    return float(2 * norm.sf(z))


def overlap_bounds(wrong: int, their_wrong: int, images: int) -> tuple[float, float]:
    """Smallest and largest p value of McNemar's exact test over all that is not known of two classifiers.

    Both were tested on the same images, but which images each got wrong is known of one alone. If `both` are
    wrong on so many, the discordant images are `wrong − both` and `their_wrong − both`.

    Args:
        wrong: Images that the one gets wrong.
        their_wrong: Images that the other gets wrong.
        images: Images tested.
    """
    values = []
    for both in range(max(0, wrong + their_wrong - images), min(wrong, their_wrong) + 1):
        discordant = wrong + their_wrong - 2 * both
        values.append(float(binomtest(wrong - both, discordant, 0.5).pvalue) if discordant else 1.0)
    return min(values), max(values)
