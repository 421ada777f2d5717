"""Numbers as texts; what is undefined is a dash everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DASH = "–"

_SMALLEST_P = 0.001


def percent(share: float | None) -> str:
    """A share of 1 as "98.64 %"."""
    return DASH if share is None else f"{100 * share:.2f} %"


def decimal(value: float | None) -> str:
    """Three decimals."""
    return DASH if value is None else signed(f"{value:.3f}")


def percent_interval(values: Mapping[str, Any], score: str) -> str:
    """A score of `metrics.json` with its interval: "98.64 % (95.8 to 99.7)"."""
    value, low, high = (values.get(key) for key in (score, f"{score}_low", f"{score}_high"))
    if value is None or low is None or high is None:
        return percent(value)
    return f"{percent(value)} ({100 * low:.1f} to {100 * high:.1f})"


def decimal_interval(values: Mapping[str, Any], score: str) -> str:
    """A score of `metrics.json` with its interval: "0.064 (0.012 to 0.131)"."""
    value, low, high = (values.get(key) for key in (score, f"{score}_low", f"{score}_high"))
    if value is None or low is None or high is None:
        return decimal(value)
    return f"{decimal(value)} ({decimal(low)} to {decimal(high)})"


def points(difference: Mapping[str, Any], *, decimals: int = 1) -> str:
    """A difference of shares with its interval, in percentage points: "+1.2 (−0.4 to +2.9)"."""
    return _difference(difference, factor=100, decimals=decimals)


def change(difference: Mapping[str, Any]) -> str:
    """A difference with its interval, three decimals: "+0.012 (−0.004 to +0.029)"."""
    return _difference(difference, factor=1, decimals=3)


def _difference(difference: Mapping[str, Any], *, factor: int, decimals: int) -> str:
    value, low, high = (
        None if difference[key] is None else signed(f"{factor * difference[key]:+.{decimals}f}")
        for key in ("difference", "low", "high")
    )
    if value is None:
        return DASH
    return value if low is None or high is None else f"{value} ({low} to {high})"


def seed_spread(values: Mapping[str, Any]) -> str:
    """How the accuracy of `metrics.json` varies over seeds, in percentage points: "0.46 (3 seeds)"."""
    seeds = len(values["seeds"])
    return "1 seed" if seeds == 1 else f"{100 * values['accuracy_seed_sd']:.2f} ({seeds} seeds)"


def p_value(p: float) -> str:
    """A p value; below .001 the bound alone."""
    return f"< {_SMALLEST_P}" if p < _SMALLEST_P else f"{p:.3f}"


def signed(text: str) -> str:
    """A formatted number with a minus sign instead of a hyphen, and no sign at a rounded zero."""
    if not text.strip("+-0."):
        return text.lstrip("+-")
    return text.replace("-", "−")


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 image", "1,097 images"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(items: Sequence[str]) -> str:
    """Words in a row: "a", "a and b", "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def percent_range(shares: Sequence[float]) -> str:
    """Shares of 1 from the smallest to the largest, in percent: "82.4 to 82.9", or "82.4"."""
    low, high = signed(f"{100 * min(shares):.1f}"), signed(f"{100 * max(shares):.1f}")
    return low if low == high else f"{low} to {high}"
