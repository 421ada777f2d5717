"""What the tables of all pages share: how figures are written."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from .estimates import Figures

TITLES = {"mobilenetv2": "MobileNetV2", "densenet121": "DenseNet121"}


def table_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown; all columns but the first are figures."""
    lines = [f"| {' | '.join(header)} |", f"|---|{'--:|' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def duration(seconds: float) -> str:
    """Seconds for people: 0.8 s, 12 s, 2.7 min, 27 min, 8.2 h, 12 days."""
    for limit, unit, divisor, digits in (
        (10, "s", 1, 1), (120, "s", 1, 0), (600, "min", 60, 1), (7200, "min", 60, 0), (172_800, "h", 3600, 1),
    ):  # fmt: skip
        if seconds < limit:
            return f"{seconds / divisor:,.{digits}f} {unit}"
    return f"{seconds / 86400:,.0f} days"


def megabytes(value: float) -> str:
    """Megabytes for people."""
    return f"{value:,.0f} MB"


def wall_and_cpu(found: Sequence[Figures]) -> list[str]:
    """Two columns: the median of seconds, and of seconds of processors."""
    return [duration(median(one[name] for one in found)) for name in ("wall_s", "cpu_s")]
