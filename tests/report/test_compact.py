"""Drawings with few bytes: the same paths, texts and styles."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from lung_attention.report.compact import compact, relative
from lung_attention.report.embed import svg_text

SVG = "{http://www.w3.org/2000/svg}"


def absolute(path):
    """The points of a path of relative lines, as a browser finds them."""
    points, here, start = [], np.zeros(2), np.zeros(2)
    for letter, rest in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        values = [float(one) for one in re.findall(r"-?\d*\.?\d+", rest)]
        numbers = [] if letter in "hv" else np.array(values).reshape(-1, 2)
        if letter == "z":
            here = start
        if letter in "hv":
            numbers = [np.array((one, 0) if letter == "h" else (0, one)) for one in values]
        for pair in numbers:
            here = pair if letter == "M" else here + pair
            start = here if letter == "M" else start
            points.append(here)
    return np.array(points)


def test_a_path_is_told_in_steps():
    assert relative("M 10 10 L 12.04 9.5 L 12.04 9.46 L 0 9.46 z") == "M10 10l2-.5h-12z"
    assert relative("M 1 1 C 1 2 3 2 3 1 Q 4 0 5 1") == "M1 1c0 1 2 1 2 0q1-1 2 0"
    assert relative("M 0 0 L 1 0 M 5 5 L 6.5 5") == "M0 0h1M5 5h1.5"
    assert relative("M 3 3 L 3 3") == "M3 3v0", "a round cap makes it a dot"
    assert relative("M 0 0 L 1 0 z L 0 1") == "M0 0h1zv1"
    assert relative("M -0.04 1e-05 L -20 3") == "M0 0l-20 3"
    assert relative("M 0 0 L 1 0 L 3 0 L 2 0 L 2 1 L 2 2") == "M0 0h3-1v2", "straight on is one step"


def test_an_unknown_step_is_refused():
    with pytest.raises(ValueError, match="Received: 'A'"):
        relative("M 0 0 A 1 1 0 0 1 2 2")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-999, 999), st.floats(-999, 999)), min_size=2, max_size=150))
def test_no_error_adds_up_along_a_path(points):
    path = "M " + " L ".join(f"{x:.6f} {y:.6f}" for x, y in points)
    wanted = np.array([[float(f"{value:.6f}") for value in point] for point in points])
    found = absolute(relative(path))
    places = np.abs(found[:, None] - wanted[None]).max(axis=2)
    assert places.min(axis=1).max() <= 0.0501, "each point is one of the given"
    corners = [row for row in range(len(wanted)) if row in (0, len(wanted) - 1) or not _straight(wanted, row)]
    assert places.min(axis=0)[corners].max() <= 0.0501, "and each of the given is there"


def _straight(points, row):
    """Whether a path goes straight on at a point along an axis, once rounded."""
    before, here, after = np.round(points[row - 1 : row + 2], 1)
    return ((before == here) & (here == after)).any()


def _drawn(**options):
    figure = Figure(figsize=(3, 2))
    ax = figure.subplots()
    ax.plot([0, 1, 2], [1, 3, 2], label="a < b & 'c'", **options)
    ax.fill_between([0, 1, 2], [0, 1, 2], alpha=0.15)
    ax.imshow(np.arange(4).reshape(2, 2), extent=(0, 1, 0, 1))
    ax.set(yscale="log", ylim=(0.5, 100), ylabel="turned")
    ax.legend()
    return svg_text(figure)


def test_texts_styles_and_links_are_kept():
    before, after = (ElementTree.fromstring(text) for text in (_drawn(), compact(_drawn())))

    def texts(root):
        return ["".join(one.itertext()).strip() for one in root.iter(f"{SVG}text")]

    assert texts(after) == texts(before)
    assert "a < b & 'c'" in texts(after)
    sheet = next(after.iter(f"{SVG}style")).text.partition("@media")[0]
    defined = set(re.findall(r"\.(s\d+)\{", sheet))
    assert {one.attrib["class"] for one in after.iter() if "class" in one.attrib} == defined
    assert not [one for one in after.iter() if "style" in one.attrib]
    assert "opacity:0.15" in sheet
    names = {one.attrib["id"] for one in after.iter() if "id" in one.attrib}
    links = {one.attrib["href"] for one in after.iter() if "href" in one.attrib}
    assert {link[1:] for link in links if not link.startswith("data:image/png")} <= names
    assert len([link for link in links if link.startswith("data:image/png")]) == 1
    clips = set(re.findall(r"clip-path:url\(#(\w+)\)", sheet))
    assert clips and clips <= names
    for font in re.findall(r"font-family:([^;}]*)", sheet):
        assert font == "DejaVu Sans,sans-serif"


def test_on_a_dark_page_no_color_of_a_light_one_is_left():
    root = ElementTree.fromstring(compact(_drawn()))
    light, dark = next(root.iter(f"{SVG}style")).text.split("@media screen and (prefers-color-scheme:dark)")
    changed = dict(re.findall(r"\.(s\d+)\{([^}]*)\}", dark))
    for name, css in re.findall(r"\.(s\d+)\{([^}]*)\}", light):
        for what, color in re.findall(r"(fill|stroke):#(ffffff|000000|e5e7eb)", css):
            assert re.search(rf"{what}:#[0-9a-f]{{6}}", changed[name])[0] != f"{what}:#{color}"
    assert "text{fill:#e6e9ed}" in dark, "texts without a colour are black"


def test_groups_that_say_something_stay():
    figure = Figure()
    figure.subplots().plot([0, 1], marker="o", linestyle="none", alpha=0.5)
    text = svg_text(figure)
    kept = list(ElementTree.fromstring(compact(text)).iter(f"{SVG}g"))
    assert len(kept) == text.count("<g clip-path") > 0
    assert all(set(one.attrib) - {"id"} for one in kept)


def test_the_same_drawing_gives_the_same_bytes_and_fewer():
    assert compact(_drawn()) == compact(_drawn())
    assert len(compact(_drawn())) < 0.6 * len(_drawn())
