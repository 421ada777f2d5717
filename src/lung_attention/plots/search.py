"""The course of a search, and which parameters mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from lung_attention.plots.style import DASHES, GREY, PALETTE, tidy, words


def search_history(
    ax: Axes, studies: Mapping[str, tuple[ArrayLike, ArrayLike]], *, default: Mapping[str, float], what: str
) -> Axes:
    """Draws the best value so far of each study, and every complete trial as a point.

    Args:
        ax: Where to draw.
        studies: For each study, by name, the numbers `(t,)` of its complete trials, ascending from 0, and
            their values `(t,)`, smaller ones better.
        default: For each study the value of the settings it began with; where known, the y axis ends a
            little above the largest one, since bad settings are worse by orders of magnitude.
        what: The quantity, for the axis.

    Returns:
        `ax`.
    """
    lowest = []
    for place, (name, (numbers, values)) in enumerate(studies.items()):
        x, y = np.asarray(numbers, dtype=np.float64) + 1, np.asarray(values, dtype=np.float64)
        color, dash = PALETTE[place % len(PALETTE)], DASHES[place % len(DASHES)]
        ax.plot(x, y, linestyle="none", marker=".", markersize=4, alpha=0.5, color=color)
        ax.step(
            x,
            np.minimum.accumulate(y) if y.size else y,
            where="post",
            linewidth=1.4,
            color=color,
            linestyle=dash,
            label=words(name),
        )
        lowest += [y.min()] if y.size else []
    if default and lowest:
        top, bottom = max(default.values()), min(lowest)
        margin = 0.15 * (top - bottom) or 0.05 * abs(top) or 1.0
        ax.set_ylim(bottom - margin, top + 2 * margin)
    ax.set_xlabel("trial")
    ax.set_ylabel(what)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    # Above the axes: points lie everywhere within.
    ax.legend(fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    return tidy(ax)


def parameter_importances(ax: Axes, studies: Sequence[Mapping[str, float]]) -> Axes:
    """Draws how important each parameter was: a point a study, a bar at their mean.

    Args:
        ax: Where to draw.
        studies: For each study a fraction a parameter; one that a study lacks counts as 0 there.

    Returns:
        `ax`; the most important parameter stands on top. Says so where no study has importances.
    """
    known = [study for study in studies if study]
    names = sorted({name for study in known for name in study})
    table = np.array([[study.get(name, 0.0) for name in names] for study in known])
    if not known:
        ax.text(0.5, 0.5, "too few trials", ha="center", va="center", color=GREY, transform=ax.transAxes)
        ax.set_axis_off()
        return ax
    order = np.argsort(table.mean(axis=0), kind="stable")
    places = np.arange(len(names))
    ax.barh(places, table.mean(axis=0)[order], height=0.6, color=PALETTE[0], alpha=0.35)
    for row in table:
        ax.plot(row[order], places, linestyle="none", marker="o", markersize=3, color=PALETTE[0])
    ax.set_yticks(places, [words(names[place]) for place in order])
    ax.set_xlabel("importance (fraction)")
    ax.set_xlim(left=0)
    tidy(ax)
    ax.grid(False, axis="y")
    return ax
