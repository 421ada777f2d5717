"""What the plots share: colours, labels of classes, and figures without a display."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito, "Color Universal Design" (2008): told apart under every common colour blindness. Yellow is
# left out, it is too pale on white. Lines differ in their dashes as well.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)))
GREY = "#6B7280"
DARK = "#374151"  # of markers, which need more weight than lines
GRID = "#E5E7EB"
BAND = "#F6F7F9"  # behind every other row


def new_figure(width_in: float, height_in: float, *, panels: int) -> tuple[Figure, list[Axes]]:
    """A figure that belongs to no window and no global list, so nothing has to be closed.

    Args:
        width_in: Width in inches.
        height_in: Height in inches.
        panels: How many axes stand side by side.

    Returns:
        The figure and its axes, left to right.
    """
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)
    return figure, list(axes[0])


def words(name: str) -> str:
    """A class or baseline id for people: `squamous_cell_carcinoma` as "squamous cell carcinoma"."""
    return name.replace("_", " ")


def tidy(ax: Axes) -> Axes:
    """Takes away what carries no information: two spines, and a grid darker than needed."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    return ax
