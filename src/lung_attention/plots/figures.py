"""The figures of one cell, for the report and for its MLflow run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lung_attention.evaluation.metrics import confusion_matrix as count_confusions
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.plots.calibration import net_benefit, reliability
from lung_attention.plots.confusion import confusion_matrix
from lung_attention.plots.curves import Floats, learning_curves, roc
from lung_attention.plots.style import new_figure, words
from lung_attention.splits.settings import REFIT


def cell_figures(
    predictions: pd.DataFrame, history: pd.DataFrame, classes: Sequence[str]
) -> dict[str, Figure]:
    """Draws one cell.

    Args:
        predictions: image,label,group,fold,seed,prediction,probability_<class>…
        history: seed,fold,epoch,loss,accuracy,val_loss,val_accuracy.
        classes: Class names in label order.

    Returns:
        `confusion_matrix` (mean over seeds), `roc` (mean and range over seeds) and `learning_curves` (loss
        and accuracy, mean and range over seeds and folds, the refit on all groups left out), the last where
        there are several epochs.

    Raises:
        UserError: The predictions are not in their schema.
    """
    table = predictions_to_arrays(predictions, classes)
    counts = [
        count_confusions(table.labels, predicted, classes=len(classes)) for predicted in table.predicted
    ]
    confusion, (ax,) = new_figure(3.8, 3.5, panels=1)
    confusion_matrix(ax, np.mean(counts, axis=0), classes)
    curves, (ax,) = new_figure(3.8, 3.5, panels=1)
    roc(ax, table.labels, table.probabilities, classes)
    figures = {"confusion_matrix": confusion, "roc": curves}
    fits = history[history["fold"] != REFIT]  # nothing is monitored in that one
    if fits["epoch"].nunique() < 2:
        return figures
    learning, axes = new_figure(5.6, 2.8, panels=2)
    for ax, column in zip(axes, ("loss", "accuracy"), strict=True):
        epochs, train = fits_by_epoch(fits, column)
        _, monitored = fits_by_epoch(fits, f"val_{column}")
        learning_curves(ax, epochs, train, monitored, what=column)
    return figures | {"learning_curves": learning}


def metric_figures(metrics: Mapping[str, Any]) -> dict[str, Figure]:
    """Draws what the metrics of a cell say on its probabilities.

    Args:
        metrics: With `calibration` and `operating_points`, as `evaluation.cell_metrics` gives them.

    Returns:
        `reliability`, and `net_benefit` of each class, where there are two of the first alone, as with ROC
        curves.
    """
    diagram = metrics["calibration"]["reliability"]
    of = None if diagram["of"] is None else words(diagram["of"])
    first = Figure(figsize=(3.8, 4.0), layout="constrained")
    top, bottom = first.subplots(2, 1, height_ratios=(3, 1))
    reliability(
        top,
        bottom,
        diagram["bins"],
        predicted=f"predicted probability of {of}" if of else "probability of the predicted class",
        observed=f"share of {of} images" if of else "share rightly predicted",
    )
    points = metrics["operating_points"]
    names = list(metrics["confusion_matrix"]["classes"])
    shown = names[:1] if len(names) == 2 else names
    second, axes = new_figure(1.2 + 2.4 * len(shown), 3.1, panels=len(shown))
    for ax, name in zip(axes, shown, strict=True):
        net_benefit(ax, points[name]["net_benefit"], title=words(name), named=ax is axes[0])
    lines, labels = axes[0].get_legend_handles_labels()
    options = {"fontsize": 8, "frameon": False, "handlelength": 1.8, "columnspacing": 1.2}
    second.legend(lines, labels, loc="outside lower center", ncols=len(labels), **options)
    return {"reliability": first, "net_benefit": second}


def fits_by_epoch(history: pd.DataFrame, column: str) -> tuple[Floats, Floats]:
    """A column of a history as a matrix.

    Args:
        history: A row a seed, fold and epoch.
        column: The column.

    Returns:
        Epochs `(e,)` and values `(f, e)`, a row a fit; NaN where a fit lacks the epoch or the value.
    """
    matrix = history.pivot(index=["seed", "fold"], columns="epoch", values=column).astype(np.float64)
    return matrix.columns.to_numpy(dtype=np.float64), matrix.to_numpy()
