"""Estimates of several kinds below each other, a lane a kind, with their numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from lung_attention.plots.style import BAND, DARK, PALETTE, tidy

_MARKERS = "osD^vP"
_LABEL_SIZE = 8.5
_SPREAD = 0.36  # of a lane's height, over which its estimates are moved apart


@dataclass(frozen=True)
class Estimate:
    """One marker.

    Attributes:
        source: What it is an estimate of, such as a backbone; a shape each.
        value: The estimate.
        low: Lower bound, None for a marker without interval.
        high: Upper bound, None likewise.
    """

    source: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Lane:
    """Estimates of one kind.

    Attributes:
        label: The kind, to the left.
        said: The numbers, to the right.
        estimates: The markers.
        look: One of `LOOKS`.
    """

    label: str
    said: str
    estimates: Sequence[Estimate]
    look: str


LOOKS = {
    "given": (DARK, True),
    "first": (PALETTE[0], True),
    "second": (PALETTE[0], False),
    "third": (PALETTE[1], False),
    "baseline": (PALETTE[2], True),
}
"""Colour of a lane, and whether its markers are filled."""


def height_in(groups: Sequence[tuple[str, Sequence[Lane]]]) -> float:
    """The height of a figure in inches at which labels do not touch."""
    return 0.75 + 0.2 * sum(1.6 + len(lanes) for _, lanes in groups)


def draw_lanes(ax: Axes, groups: Sequence[tuple[str, Sequence[Lane]]], *, what: str) -> Axes:
    """Draws groups of lanes, the first group on top, each under its title.

    Args:
        ax: Where to draw.
        groups: A title and the lanes of each.
        what: The quantity, in percent, for the axis; estimates are shares of 1.

    Returns:
        `ax`.
    """
    sources = list(
        dict.fromkeys(one.source for _, lanes in groups for lane in lanes for one in lane.estimates)
    )
    named = [source for source in sources if source]
    edge = ax.get_yaxis_transform()  # x in shares of the axes' width
    y, ticks, labels = 0.0, [], []
    for number, (title, lanes) in enumerate(groups):
        if number % 2:
            ax.axhspan(y - 0.3, y + 1.3 + len(lanes), color=BAND, linewidth=0, zorder=0)
        ax.text(-0.02, y + 0.45, title, transform=edge, weight="bold", fontsize=9, va="center", ha="right")
        y += 1.3
        for lane in lanes:
            ticks.append(y + 0.3)
            labels.append(lane.label)
            ax.text(1.02, y + 0.3, lane.said, transform=edge, fontsize=_LABEL_SIZE, va="center", ha="left")
            _draw(ax, lane, y + 0.3, named)
            y += 1.0
        y += 0.3
    ax.set_yticks(ticks, labels, fontsize=_LABEL_SIZE)
    ax.set_ylim(y - 0.3, -0.3)
    tidy(ax)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    ax.set_xlabel(what, fontsize=_LABEL_SIZE)
    ax.tick_params(axis="x", labelsize=_LABEL_SIZE)
    for number, source in enumerate(named):
        ax.plot([], [], linestyle="none", marker=_MARKERS[number % 6], color=DARK, label=source, markersize=5)
    if len(named) > 1:
        options = {"fontsize": _LABEL_SIZE, "frameon": False, "handletextpad": 0.2, "columnspacing": 1.2}
        ax.legend(loc="upper right", bbox_to_anchor=(1, 0), borderaxespad=3.6, ncols=len(named), **options)
    return ax


def _draw(ax: Axes, lane: Lane, y: float, named: Sequence[str]) -> None:
    color, filled = LOOKS[lane.look]
    for one in lane.estimates:
        place = named.index(one.source) if one.source else (len(named) - 1) / 2
        at = y + _SPREAD * (place / max(len(named) - 1, 1) - 0.5)
        if one.low is not None and one.high is not None:
            ax.plot([100 * one.low, 100 * one.high], [at, at], color=color, linewidth=1.3, zorder=2)
        ax.plot(
            [100 * one.value],
            [at],
            linestyle="none",
            marker=_MARKERS[named.index(one.source) % 6] if one.source else "|",
            markersize=5 if one.source else 9,
            markeredgewidth=1.2 if one.source else 2,
            color=color,
            markerfacecolor=color if filled else "white",
            zorder=3,
        )
