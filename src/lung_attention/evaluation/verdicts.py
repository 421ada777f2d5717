"""From scores to verdicts.

Each verdict says what the numbers allow and no more: an interval of a difference that contains 0 is
no proof of equality, so its verdict is "within sampling error", "no clear change" or "undecided".
"""

from __future__ import annotations

import math
from typing import Any

from scipy.stats import binomtest

from lung_attention.data.published import PublishedResult

WITHIN, ABOVE, BELOW, OPEN, STAND_IN = "within sampling error", "above", "below", "open", "stand-in"
DROP, RISE, UNCLEAR = "drop", "rise", "no clear change"
HELPS, HURTS, UNDECIDED = "helps", "hurts", "undecided"
BETTER, WORSE = "better", "worse"


def reproduction(
    published: PublishedResult, accuracy: float, low: float, high: float, *, confidence: float
) -> dict[str, Any]:
    """Our accuracy against a published one.

    The published result is a binomial on its own number of test images, with Wilson's interval; ours has the
    interval it was given. Both make the interval of the difference as in Newcombe (1998, method 10),
    generalised to any intervals by Zou and Donner (2008). The two test sets are taken as independent. Where
    they are the same images the true interval is shorter, so "within sampling error" is said a little too
    often. That trainings differ by their seed is not counted, so "above" and "below" may be said too often
    where ours is one training.

    Args:
        published: The published result.
        accuracy: Ours, 0..1.
        low: Lower bound of ours.
        high: Upper bound of ours.
        confidence: Of all intervals, such as 0.95.

    Returns:
        `difference` (ours − published, fractions of 1), `low`, `high` and `verdict`.
    """
    theirs = published.n_right / published.n_test
    their_low, their_high = published_interval(published, confidence=confidence)
    difference = accuracy - theirs
    bounds = (
        difference - math.hypot(accuracy - low, their_high - theirs),
        difference + math.hypot(high - accuracy, theirs - their_low),
    )
    verdict = ABOVE if bounds[0] > 0 else BELOW if bounds[1] < 0 else WITHIN
    return {"difference": difference, "low": bounds[0], "high": bounds[1], "verdict": verdict}


def published_interval(published: PublishedResult, *, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a published accuracy on its own test size."""
    interval = binomtest(published.n_right, published.n_test).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def leakage_verdict(low: float | None, high: float | None) -> str:
    """Verdict on published minus grouped score from the bounds of its interval."""
    if low is None or high is None:
        return UNCLEAR
    return DROP if low > 0 else RISE if high < 0 else UNCLEAR


def change_verdict(difference: float, p_adjusted: float, *, confidence: float) -> str:
    """Verdict on a difference, such as attention minus plain accuracy, from its Holm-adjusted p value."""
    if p_adjusted >= 1 - confidence or difference == 0:
        return UNDECIDED
    return HELPS if difference > 0 else HURTS


def rank_verdict(difference: float, p_adjusted: float, *, confidence: float) -> str:
    """Verdict on one classifier's accuracy minus another's, from its Holm-adjusted p value."""
    verdict = change_verdict(difference, p_adjusted, confidence=confidence)
    return {HELPS: BETTER, HURTS: WORSE}.get(verdict, UNDECIDED)
