"""Estimates with their intervals, row by row, as in a forest plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from lung_attention.plots.style import DARK, PALETTE, tidy


@dataclass(frozen=True)
class Estimate:
    """One marker.

    Attributes:
        series: What it is an estimate of ("published", "attention, grouped split"); one look a series.
        value: The estimate.
        low: Lower bound, None for a marker without interval.
        high: Upper bound, None likewise.
    """

    series: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Look:
    """How a series is drawn.

    Attributes:
        marker: Matplotlib's letter for it.
        color: Of marker and interval.
        filled: Whether the marker is filled.
        size: Of the marker, in points.
    """

    marker: str
    color: str
    filled: bool
    size: float


_MARKERS = "os^vPX*"


def looks_of(heads: Sequence[str], splits: Sequence[str]) -> dict[str, Look]:
    """How accuracies are drawn: a shape and colour a head, hollow where the split is grouped.

    Args:
        heads: Names of heads, in the order of the legend.
        splits: Names of splits.

    Returns:
        The looks of "published result", "<head>, <split> split" and "best blind baseline, <split> split" and
        "best seeing baseline, <split> split".
    """
    looks = {"published result": Look("D", "black", True, 6)}
    for split in splits:
        for number, head in enumerate(heads):
            marker, color = _MARKERS[number % len(_MARKERS)], PALETTE[number % len(PALETTE)]
            looks[f"{head}, {split} split"] = Look(marker, color, split != "grouped", 6)
    for split in splits:
        grouped = split == "grouped"
        looks[f"best blind baseline, {split} split"] = Look("x" if grouped else "|", DARK, True, 8)
        looks[f"best seeing baseline, {split} split"] = Look("+" if grouped else "_", DARK, True, 10)
    return looks


def intervals(
    ax: Axes, rows: Sequence[tuple[str, Sequence[Estimate]]], *, what: str, looks: dict[str, Look]
) -> Axes:
    """Draws rows of estimates, the first row on top; the series of a row stand below each other.

    Args:
        ax: Where to draw.
        rows: A label and the estimates of each row.
        what: The quantity, for the axis.
        looks: How each series is drawn, in the order of the legend; every series of `rows` stands in it.

    Returns:
        `ax`.
    """
    used = [series for series in looks if any(one.series == series for _, row in rows for one in row)]
    step = 0.8 / max(len(used), 1)
    for number, (_, row) in enumerate(rows):
        if number % 2:
            ax.axhspan(number - 0.5, number + 0.5, color="#F6F7F9", linewidth=0, zorder=0)
        for one in row:
            look = looks[one.series]
            y = number + step * (used.index(one.series) - (len(used) - 1) / 2)
            if one.low is not None and one.high is not None:
                ax.plot([one.low, one.high], [y, y], color=look.color, linewidth=1.4, zorder=2)
            ax.plot(
                [one.value],
                [y],
                linestyle="none",
                marker=look.marker,
                markersize=look.size,
                color=look.color,
                markerfacecolor=look.color if look.filled else "white",
                zorder=3,
            )
    for series in used:
        look = looks[series]
        face = look.color if look.filled else "white"
        ax.plot(
            [], [], linestyle="none", marker=look.marker, color=look.color, markerfacecolor=face, label=series
        )
    ax.set_yticks(range(len(rows)), [label for label, _ in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(what)
    tidy(ax)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    # The padding, in units of the font size, leaves room for the ticks and the axis' label.
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), borderaxespad=5, fontsize=8, frameon=False)
    return ax
