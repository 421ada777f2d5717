"""ROC curves and learning curves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import roc_auc_score, roc_curve

from lung_attention.plots.style import DASHES, GREY, PALETTE, tidy, words

Floats = NDArray[np.float64]

_MOST_POINTS = 120  # of a drawn ROC curve: more cannot be seen, and make a page heavy


def roc(ax: Axes, labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[str]) -> Axes:
    """Draws a ROC curve of each class against the rest; of the first class alone where there are two.

    The label order of the datasets puts the disease first where there are two classes, so the curve of a
    binary task is that of `classes[0]`. Several seeds are averaged vertically, at equal false positive
    rates (Fawcett 2006, section 8); their range is shaded. The AUROC in the legend is the mean over seeds.

    Args:
        ax: Where to draw.
        labels: `(n,)` int in [0, c), true classes.
        probabilities: `(n, c)`, or `(s, n, c)` for several seeds.
        classes: `c` class names in label order.

    Returns:
        `ax`. A class that is absent, or the only one, has no curve; the legend says so.
    """
    truth = np.asarray(labels)
    p = np.asarray(probabilities, dtype=np.float64)
    p = p[np.newaxis] if p.ndim == 2 else p
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
    for k, name in enumerate(classes[:1] if len(classes) == 2 else classes):
        positive = truth == k
        color, dash = PALETTE[k % len(PALETTE)], DASHES[k % len(DASHES)]
        if positive.all() or not positive.any():
            ax.plot([], [], label=f"{words(name)}: undefined", color=color, linestyle=dash)
            continue
        grid, rates = _mean_roc(positive, p[:, :, k])
        area = float(np.mean([roc_auc_score(positive, of_seed) for of_seed in p[:, :, k]]))
        label = f"{words(name)}: {area:.3f}"
        ax.plot(grid, rates.mean(axis=0), linewidth=1.6, label=label, color=color, linestyle=dash)
        if len(rates) > 1:
            low, high = rates.min(axis=0), rates.max(axis=0)
            ax.fill_between(grid, low, high, color=color, alpha=0.15, linewidth=0)
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    ax.set_xlabel("1 − specificity")
    ax.set_ylabel("sensitivity")
    ax.legend(loc="lower right", fontsize=8, frameon=False, title="AUROC", title_fontsize=8)
    return tidy(ax)


def _mean_roc(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """False positive rates `(g,)`, each twice, and true ones `(s, g)` before and after the jump there."""
    curves = [roc_curve(positive, of_seed)[:2] for of_seed in scores]
    grid = np.unique(np.concatenate([false for false, _ in curves]))
    if len(grid) > _MOST_POINTS:
        grid = grid[np.linspace(0, len(grid) - 1, _MOST_POINTS).astype(int)]
    # A curve may rise vertically, so that it has two values at a rate: np.interp takes the last one of
    # equal abscissas, the upper one here; read backwards, the lower one.
    lower = [np.interp(-grid, -false[::-1], true[::-1]) for false, true in curves]
    upper = [np.interp(grid, false, true) for false, true in curves]
    rates = np.stack([lower, upper], axis=2).reshape(len(curves), -1)
    return np.repeat(grid, 2), rates


def learning_curves(
    ax: Axes, epochs: ArrayLike, train: ArrayLike, monitored: ArrayLike, *, what: str
) -> Axes:
    """Draws a quantity over epochs: the mean over fits, their range shaded.

    Args:
        ax: Where to draw.
        epochs: `(e,)`, counted from 1.
        train: `(f, e)`, the value on the training images of each fit.
        monitored: `(f, e)`, on the images that are monitored but not learned from; NaN where a fit has none.
        what: The quantity, for the axis.

    Returns:
        `ax`.
    """
    x = np.asarray(epochs)
    marker = "o" if len(x) == 1 else None  # a line of one point cannot be seen
    for values, name, color, dash in (
        (train, "trained on", PALETTE[0], DASHES[0]),
        (monitored, "monitored", PALETTE[1], DASHES[1]),
    ):
        y = np.asarray(values, dtype=np.float64)
        y = y[~np.isnan(y).all(axis=1)] if y.size else y
        if not len(y):
            continue
        ax.plot(
            x, np.nanmean(y, axis=0), color=color, linestyle=dash, linewidth=1.6, label=name, marker=marker
        )
        if len(y) > 1:
            ax.fill_between(
                x, np.nanmin(y, axis=0), np.nanmax(y, axis=0), color=color, alpha=0.15, linewidth=0
            )
    ax.set_xlabel("epoch")
    ax.set_ylabel(what)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(x) == 1:
        ax.set_xlim(x[0] - 1, x[0] + 1)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, frameon=False)
    return tidy(ax)
