"""The pictures of a cell's probabilities: what is drawn is what was counted, and no legend lies on it."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from lung_attention.evaluation.cell_metrics import cell_metrics
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.plots.calibration import reliability
from lung_attention.plots.figures import metric_figures

TWO, THREE = ("malignant", "benign"), ("normal", "malignant", "squamous_cell_carcinoma")
BINS = 5


def cell(classes, *, seeds=1):
    """40 images in groups of two, a third of them wrong."""
    rng = np.random.default_rng(len(classes))
    tables = []
    for seed in range(seeds):
        labels = np.arange(40) // 2 % len(classes)
        p = rng.dirichlet(np.ones(len(classes)), size=40)
        p[np.arange(40), labels] += rng.random(40)
        p /= p.sum(axis=1, keepdims=True)
        table = pd.DataFrame({"image": [f"{k:02d}" for k in range(40)]})
        table["label"], table["group"] = np.asarray(classes)[labels], [f"g{k // 2}" for k in range(40)]
        table["fold"], table["seed"] = 0, seed
        table["prediction"] = np.asarray(classes)[p.argmax(axis=1)]
        tables.append(table.assign(**{f"probability_{name}": p[:, k] for k, name in enumerate(classes)}))
    return pd.concat(tables, ignore_index=True)


def drawn(classes, **options):
    table = cell(classes, **options)
    metrics = cell_metrics(
        predictions_to_arrays(table, classes),
        resamples=20,
        confidence=0.95,
        bins=BINS,
        specificities=[0.9],
        prevalences=[0.1],
        seed=0,
    )
    return table, metrics, metric_figures(metrics)


@pytest.mark.parametrize(
    ("classes", "seeds", "predicted", "observed"),
    [
        (TWO, 1, "predicted probability of malignant", "share of malignant images"),
        (THREE, 1, "probability of the predicted class", "share rightly predicted"),
        (THREE, 3, "probability of the predicted class", "share rightly predicted"),
    ],
)
def test_a_reliability_diagram_shows_what_was_counted(classes, seeds, predicted, observed):
    table, _, figures = drawn(classes, seeds=seeds)
    top, bottom = figures["reliability"].axes
    assert (top.get_ylabel(), bottom.get_xlabel()) == (observed, predicted)
    assert bottom.get_ylabel() == "images"
    if len(classes) == 2:
        p, true = table["probability_malignant"], table["label"] == "malignant"
    else:
        p, true = table.filter(like="probability_").max(axis=1), table["label"] == table["prediction"]
    bin_of = np.ceil(p * BINS).astype(int) - 1
    (bars,) = [one for one in bottom.containers if isinstance(one, BarContainer)]
    counts = bin_of.value_counts().sort_index()
    np.testing.assert_allclose([bar.get_height() for bar in bars], counts / seeds)
    np.testing.assert_allclose([bar.get_center()[0] for bar in bars], (counts.index + 0.5) / BINS)
    assert bottom.get_ylim()[0] < min(bar.get_height() for bar in bars), "a bar that is too low is not seen"
    line = next(one for one in top.lines if one.get_label() == "bins")
    np.testing.assert_allclose(line.get_xdata(), p.groupby(bin_of).mean())
    np.testing.assert_allclose(line.get_ydata(), true.groupby(bin_of).mean())


def test_a_bin_of_less_than_one_image_on_average_is_seen():
    bins = [
        {"low": 0.0, "high": 0.5, "predicted": 0.4, "observed": 1.0, "count": 1 / 3},
        {"low": 0.5, "high": 1.0, "predicted": 0.9, "observed": 0.5, "count": 80.0},
    ]
    top, bottom = Figure().subplots(2, 1)
    reliability(top, bottom, bins, predicted="p", observed="o")
    assert bottom.get_ylim()[0] < 1 / 3
    assert bottom.get_ylim()[1] > 80


@pytest.mark.parametrize(
    ("classes", "titles"), [(TWO, [TWO[0]]), (THREE, [*THREE[:2], "squamous cell carcinoma"])]
)
def test_net_benefit_of_each_class_or_of_the_disease_alone(classes, titles):
    _, metrics, figures = drawn(classes)
    axes = figures["net_benefit"].axes
    assert [ax.get_title() for ax in axes] == titles
    assert [ax.get_ylabel() for ax in axes] == ["net benefit", *[""] * (len(titles) - 1)]
    for ax, name in zip(axes, classes, strict=False):
        curve = metrics["operating_points"][name]["net_benefit"]
        lines = {line.get_label(): line for line in ax.lines}
        np.testing.assert_allclose(
            lines["treat by the network"].get_ydata(), np.array(curve["model"], dtype=float)
        )
        np.testing.assert_allclose(lines["treat all"].get_ydata(), np.array(curve["treat_all"], dtype=float))
    (legend,) = figures["net_benefit"].legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "treat none", "treat all", "treat by the network",
    ]  # fmt: skip


@pytest.mark.parametrize("classes", [TWO, THREE])
@pytest.mark.parametrize("name", ["reliability", "net_benefit"])
def test_no_legend_lies_on_the_data_or_is_cut_off(classes, name):
    figure = drawn(classes)[2][name]
    figure.draw_without_rendering()
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    assert len(legends) == 1
    box = legends[0].get_window_extent()
    assert not [ax for ax in figure.axes if ax.get_window_extent().shrunk(0.99, 0.99).overlaps(box)]
    width, height = figure.bbox.size
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
