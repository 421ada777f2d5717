"""Figures as data URIs."""

import base64
import io
import re
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from fake_results import POINTS, RESAMPLING, predictions
from known import LABELS
from matplotlib.figure import Figure
from PIL import Image

from lung_attention.evaluation.cell_metrics import cell_metrics
from lung_attention.evaluation.predictions import predictions_to_arrays
from lung_attention.plots.figures import cell_figures, metric_figures
from lung_attention.report.blocks import Picture, Section
from lung_attention.report.embed import photo_uri, svg_uri, width_px
from lung_attention.report.page import Report, render_html


def _texts(uri):
    kind, _, content = uri.partition(",")
    assert kind == "data:image/svg+xml"
    root = ElementTree.fromstring(unquote(content))
    return ["".join(one.itertext()) for one in root.iter("{http://www.w3.org/2000/svg}text")]


def test_numbers_in_a_drawing_keep_their_digits():
    figure = Figure()
    ax = figure.subplots()
    ax.plot([0, 1], [0.8125, 0.9375], label="AUROC 0.9876 of 'it' < \"that\" & 100% #1")
    ax.set_yticks([0.8125, 0.9375])
    ax.legend()
    texts = _texts(svg_uri(figure))
    assert "0.8125" in texts
    assert "AUROC 0.9876 of 'it' < 'that' & 100% #1" in texts


def test_equal_figures_give_equal_uris_that_need_no_escape():
    uris = []
    for _ in range(2):
        figure = Figure()
        figure.subplots().plot([1, 2])
        uris.append(svg_uri(figure))
    assert uris[0] == uris[1]
    assert not set('"<>\n') & set(uris[0])


@pytest.fixture(scope="module")
def large():
    """A cell like those of the grouped split: three classes, 4,800 images, five folds of 100 epochs each."""
    rng = np.random.default_rng(0)
    table = pd.concat(
        [predictions("lc25000", "grouped", seeds=(0,), skill=1, rng=rng).assign(part=k) for k in range(40)]
    )
    table["image"] = table["image"] + table["part"].astype(str)
    fits = pd.MultiIndex.from_product([range(1), range(5), range(1, 101)], names=["seed", "fold", "epoch"])
    history = pd.DataFrame(index=fits).reset_index()
    for column in ("loss", "accuracy", "val_loss", "val_accuracy"):
        history[column] = (1 + 0.2 * rng.random(len(history))) / history[
            "epoch"
        ] ** 2  # it converges, as real ones
    metrics = cell_metrics(
        predictions_to_arrays(table.drop(columns="part"), LABELS["lc25000"]), **POINTS, **RESAMPLING
    )
    return cell_figures(table, history, LABELS["lc25000"]) | metric_figures(metrics)


def test_a_large_cell_stays_small(large):
    """36 of these and everything else have to fit into 3 MB."""
    assert set(large) == {"confusion_matrix", "roc", "learning_curves", "reliability", "net_benefit"}
    sizes = {name: len(svg_uri(figure)) for name, figure in large.items()}
    assert sum(sizes.values()) < 45_000, sizes


def test_a_picture_has_its_width_and_a_text_alternative(large):
    figure = large["net_benefit"]
    picture = Picture(
        svg_uri(figure), "Net benefit of <it> & more", "Net benefit", width_px(figure), "a.json"
    )
    section = Section("cells", "Each cell in detail", [picture])
    report = Report("title", "subtitle", [], "", [], None, [], [section])
    html = render_html(report)
    assert '<a class="data" href="a.json">' in html
    (tag,) = re.findall("<img [^>]*>", html)
    assert f'width="{round(96 * figure.get_figwidth())}"' in tag
    assert 'alt="Net benefit of &lt;it&gt; &amp; more"' in tag
    drawing = ElementTree.fromstring(unquote(re.search('src="([^"]*)"', tag)[1].partition(",")[2]))
    points = float(drawing.attrib["width"].removesuffix("pt"))
    assert points * 96 / 72 == pytest.approx(width_px(figure), abs=1)


def test_a_photograph_keeps_its_pixels():
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:, 12:] = (200, 100, 50)
    kind, _, content = photo_uri(pixels).partition(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as image:
        shown = np.asarray(image).astype(int)
    assert shown.shape == pixels.shape
    assert np.abs(shown - pixels)[:, [2, 21]].max() < 12
