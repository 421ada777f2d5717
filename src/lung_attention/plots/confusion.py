"""Confusion matrices."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from lung_attention.plots.style import words

_LABEL_WIDTH = 14
_ON_BLUE, _ON_WHITE = "#fefefe", "#010101"  # not those of style: the ground is no page's, light or dark
_DARK = 0.55  # share of a row from which on white text is easier to read


def confusion_matrix(ax: Axes, counts: ArrayLike, classes: Sequence[str]) -> Axes:
    """Draws a confusion matrix; colour is the share of the true class, text the count.

    Args:
        ax: Where to draw.
        counts: `(c, c)`, rows are true classes; means over seeds need not be whole.
        classes: `c` class names in label order.

    Returns:
        `ax`.

    Raises:
        ValueError: `counts` is not `(c, c)`.
    """
    matrix = np.asarray(counts, dtype=np.float64)
    if matrix.shape != (len(classes), len(classes)):
        raise ValueError(f"Expected counts of shape {(len(classes),) * 2}. Received: {matrix.shape}")
    shares = row_shares(matrix)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        share = shares[row, column]
        ax.text(
            column,
            row,
            f"{count_text(count)}\n{share:.1%}",
            ha="center",
            va="center",
            fontsize=9,
            color=_ON_BLUE if share > _DARK else _ON_WHITE,
        )
    labels = [textwrap.fill(words(name), _LABEL_WIDTH) for name in classes]
    ax.set_xticks(range(len(classes)), labels, fontsize=8)
    ax.set_yticks(range(len(classes)), labels, fontsize=8, rotation=90, va="center", multialignment="center")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    return ax


def row_shares(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """`(c, c)` shares of each row; an empty row has shares of 0."""
    totals = counts.sum(axis=1, keepdims=True)
    return counts / np.where(totals > 0, totals, 1)


def count_text(count: float) -> str:
    """A count, with a decimal only where a mean over seeds is not whole."""
    return f"{count:.0f}" if abs(count - round(count)) < 0.05 else f"{count:.1f}"
