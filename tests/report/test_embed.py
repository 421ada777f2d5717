"""Figures as data URIs."""

import sys
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lung_attention.plots.figures import cell_figures
from lung_attention.report.embed import jpeg_uri, svg_uri

sys.path.insert(0, str(Path(__file__).parent))

from fake_results import predictions


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


def test_a_large_cell_stays_small():
    """24 of these and everything else have to fit into 3 MB."""
    rng = np.random.default_rng(0)
    table = pd.concat(
        [
            predictions("lc25000", "grouped", seeds=(0, 1, 2), skill=1, rng=rng).assign(part=k)
            for k in range(40)
        ]
    )
    table["image"] = table["image"] + table["part"].astype(str)
    fits = pd.MultiIndex.from_product([range(3), range(5), range(1, 101)], names=["seed", "fold", "epoch"])
    columns = ["loss", "accuracy", "val_loss", "val_accuracy"]
    history = pd.DataFrame(rng.random((len(fits), 4)), index=fits, columns=columns).reset_index()
    classes = ("adenocarcinoma", "benign", "squamous_cell_carcinoma")
    figures = cell_figures(table, history, classes)
    assert sum(len(svg_uri(figure)) for figure in figures.values()) < 85_000


def test_photographs_are_jpeg():
    figure = Figure(figsize=(1, 1))
    figure.subplots().imshow(np.zeros((4, 4, 3), np.uint8))
    assert jpeg_uri(figure).startswith("data:image/jpeg;base64,/9j/")
