"""Reliability diagrams and net benefit curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from lung_attention.plots.style import DASHES, GREY, PALETTE, tidy

_HEADROOM = 0.12  # above the highest and below the lowest net benefit shown, as a share of the highest


def reliability(
    ax: Axes, counts_ax: Axes, bins: Sequence[Mapping[str, float]], *, predicted: str, observed: str
) -> Axes:
    """Draws observed shares over predicted probabilities, and the number of images in each bin below.

    Args:
        ax: Where the diagram goes.
        counts_ax: Where the counts go, on a logarithmic axis.
        bins: Of each bin `low`, `high`, `predicted`, `observed` and `count`.
        predicted: What the probabilities are of, for the axis.
        observed: What is observed, for the axis.

    Returns:
        `ax`.
    """
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":", label="ideal")
    ax.plot(
        [one["predicted"] for one in bins],
        [one["observed"] for one in bins],
        color=PALETTE[0],
        marker="o",
        markersize=4,
        linewidth=1.2,
        label="bins",
    )
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel=observed)
    ax.tick_params(labelbottom=False)
    # Above the axes: points may lie everywhere within.
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=2, fontsize=8, frameon=False)
    counts_ax.bar(
        [(one["low"] + one["high"]) / 2 for one in bins],
        [one["count"] for one in bins],
        width=[0.9 * (one["high"] - one["low"]) for one in bins],
        color=PALETTE[0],
        linewidth=0,
    )
    counts_ax.set(xlim=(-0.02, 1.02), yscale="log", xlabel=predicted, ylabel="images")
    counts = [one["count"] for one in bins if one["count"] > 0]
    # A mean over seeds may be below 1, and its bar is to be seen as well.
    counts_ax.set_ylim(0.7 * min(1, *counts), 2 * max(counts))
    tidy(counts_ax)
    return tidy(ax)


def net_benefit(ax: Axes, curve: Mapping[str, Sequence[float | None]], *, title: str, named: bool) -> Axes:
    """Draws the net benefit of a model over threshold probabilities, with treating all and treating none.

    Args:
        ax: Where to draw.
        curve: `thresholds`, and for each `model`, `model_low`, `model_high` and `treat_all`.
        title: The class that is looked for.
        named: Whether the axis of values is named.

    Returns:
        `ax`; what lies far below 0 is cut off, as nobody would treat by it. Its lines have labels, but no
        legend: they may lie everywhere within the axes.
    """
    x, model, low, high, everyone = (
        np.array(curve[name], dtype=np.float64)
        for name in ("thresholds", "model", "model_low", "model_high", "treat_all")
    )
    ax.axhline(0, color=GREY, linewidth=0.8, linestyle=":", label="treat none")
    ax.plot(x, everyone, color=PALETTE[1], linestyle=DASHES[1], linewidth=1.4, label="treat all")
    ax.plot(x, model, color=PALETTE[0], linewidth=1.6, label="treat by the network")
    ax.fill_between(x, low, high, color=PALETTE[0], alpha=0.15, linewidth=0)
    top = np.nanmax(np.concatenate([high, everyone, [0.05]]))
    ax.set(xlim=(0, 1), ylim=(-_HEADROOM * top, (1 + _HEADROOM) * top), xlabel="threshold probability")
    ax.set_title(title, fontsize=9)
    if named:
        ax.set_ylabel("net benefit")
    return tidy(ax)
