"""The figures of a cell: what they show, and that they are quick."""

import io
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lung_attention.plots.figures import cell_figures, fits_by_epoch

THREE = ("normal", "malignant", "benign")
TWO = ("malignant", "benign")


def _predictions(classes, *, n, seeds, rng):
    labels = np.arange(n) % len(classes)
    tables = []
    for seed in seeds:
        p = rng.dirichlet(np.ones(len(classes)), size=n)
        p[np.arange(n), labels] += 0.5
        p /= p.sum(axis=1, keepdims=True)
        table = pd.DataFrame({"image": [f"{k}.png" for k in range(n)]})
        table["label"] = [classes[k] for k in labels]
        table["group"], table["fold"], table["seed"] = "", 0, seed
        table["prediction"] = [classes[k] for k in p.argmax(axis=1)]
        for k, name in enumerate(classes):
            table[f"probability_{name}"] = p[:, k]
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _history(fits, *, epochs):
    rows = [
        {
            "seed": seed,
            "fold": fold,
            "epoch": epoch,
            "loss": 1 / epoch + seed,
            "accuracy": 1 - 1 / (epoch + 1),
            "val_loss": np.nan if fold == -1 else 2 / epoch,
            "val_accuracy": np.nan if fold == -1 else 0.5,
        }
        for seed, fold in fits
        for epoch in range(1, epochs + 1)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("classes", "curves"), [(THREE, 3), (TWO, 1)])
def test_a_roc_curve_for_each_class_or_for_the_disease_alone(classes, curves):
    rng = np.random.default_rng(0)
    figures = cell_figures(
        _predictions(classes, n=90, seeds=(0, 1), rng=rng), _history([(0, 0), (1, 0)], epochs=4), classes
    )
    assert list(figures) == ["confusion_matrix", "roc", "learning_curves"]
    (ax,) = figures["roc"].axes
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert len(legend) == curves
    assert legend[0].startswith(f"{classes[0]}: 0.")


def test_the_matrix_shows_means_over_seeds():
    rng = np.random.default_rng(1)
    table = _predictions(TWO, n=4, seeds=(0, 1), rng=rng)
    table["prediction"] = ["malignant"] * 4 + ["benign"] * 4
    first = table["seed"] == 0
    table["probability_malignant"] = np.where(first, 0.9, 0.2)
    table["probability_benign"] = np.where(first, 0.1, 0.8)
    figure = cell_figures(table, _history([(0, 0)], epochs=2), TWO)["confusion_matrix"]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["1\n50.0%"] * 4


def test_the_refit_on_all_groups_is_no_learning_curve():
    history = _history([(0, 0), (0, 1), (0, -1)], epochs=3)
    rng = np.random.default_rng(2)
    figure = cell_figures(_predictions(TWO, n=20, seeds=(0,), rng=rng), history, TWO)["learning_curves"]
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["monitored"], [2, 1, 2 / 3])
    np.testing.assert_allclose(lines["trained on"], [1, 1 / 2, 1 / 3])


def test_fits_of_unequal_length_are_padded():
    history = pd.concat([_history([(0, 0)], epochs=3), _history([(1, 0)], epochs=2)])
    epochs, values = fits_by_epoch(history, "loss")
    np.testing.assert_array_equal(epochs, [1, 2, 3])
    np.testing.assert_allclose(values, [[1, 1 / 2, 1 / 3], [2, 1.5, np.nan]])


def test_a_large_cell_is_drawn_within_seconds():
    rng = np.random.default_rng(3)
    predictions = _predictions(THREE, n=15_000, seeds=(0,), rng=rng)
    history = _history([(0, fold) for fold in range(5)], epochs=100)
    start = time.process_time()
    for figure in cell_figures(predictions, history, THREE).values():
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=100)
        pixels = np.asarray(Image.open(stream).convert("L"))
        assert pixels.std() > 5, "an empty figure"
    assert time.process_time() - start < 6  # about 1.5 s on an idle core
