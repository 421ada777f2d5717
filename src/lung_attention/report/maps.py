"""The section on where networks look, and the answer to whether they look at what is marked."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from lung_attention.cells import Cell
from lung_attention.paths import Paths
from lung_attention.report.answers import on_stand_ins
from lung_attention.report.blocks import Answer, Block, Bullets, Missing, Picture, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.numbers import count, decimal, percent, percent_range, signed

LOOKS = "Does the attention look at the finding?"

_MAPS = {
    "attention": "attention α",
    "untrained": "attention never fitted",
    "gradcam": "Grad-CAM",
    "mean": "mean α of all images, for each",
    "centre": "bell over the centre",
    "moved": "α, its cells in a random order",
}
_EMBEDDED = 4  # pictures, for the size of the page; the others lie beside it

Record = Mapping[str, Any]


def looks_answer(results: Results) -> Answer | None:
    """Whether the attention lies on what is marked; None where nothing is marked."""
    located = {cell: of for cell, of in results.maps.items() if of["location"] is not None}
    if not located:
        return None
    kinds = dict.fromkeys((cell.dataset, cell.recipe) for cell in located)
    details = []
    for kind in kinds:
        dataset, recipe = kind
        here = [of for cell, of in located.items() if (cell.dataset, cell.recipe) == kind]
        verdict, numbers = _looks([of["location"]["maps"] for of in here])
        title = results.dataset(dataset).title
        details.append(f"{title}, {recipe} recipe, {verdict[0].lower()}{verdict[1:]}: {numbers}")
    verdict, numbers = _looks([of["location"]["maps"] for of in located.values()])
    answer = Answer(LOOKS, verdict, numbers, [Bullets(details)] if len(kinds) > 1 else [])
    return on_stand_ins(answer) if results.tag else answer


def _looks(found: Sequence[Record]) -> tuple[str, str]:
    """The verdict on the maps of some networks, and its numbers.

    A map that is no denser there than its own mean over all images tells where findings lie in general, and
    one that was never fitted has learned nothing: only a map that beats both looks at the finding.
    """
    chance = sum(maps["attention"]["lift_low"] > 1 for maps in found)
    fitted, own, centre = (
        sum(maps[rival]["difference_low"] > 0 for maps in found) for rival in ("untrained", "mean", "centre")
    )
    looking = any(min(maps[rival]["difference_low"] for rival in ("untrained", "mean")) > 0 for maps in found)
    verdict = "In part" if looking else "Not shown"
    if min(chance, fitted, own, centre) == len(found):
        verdict = "Yes"
    lifts = [maps["attention"]["lift"] for maps in found]
    low, high = f"{min(lifts):.2f}", f"{max(lifts):.2f}"
    times = low if low == high else f"{low} to {high}"
    hits = percent_range([maps["attention"]["hits"] for maps in found])
    return verdict, (
        f"Inside the box of the finding it is {times} times as dense as over the image; beyond sampling "
        f"error it is denser than one that was never fitted in {fitted} of {len(found)} networks (than the "
        f"mean map of all images in {own}, than a bell over their centre in {centre}, than an even map in "
        f"{chance}); its largest value touches the box in {hits} % of the images."
    )


def maps_section(results: Results) -> Section:
    """What the attention does, whether it lies on what is marked, and what its maps are worth."""
    title = "Where the networks look"
    if not results.maps:
        return Section("maps", title, [Missing("No network was looked into yet.")])
    blocks: list[Block] = [
        Text(
            "α is the map of the soft attention, a weight for each cell of the feature map; γ is the learned "
            "factor by which it is added. **Changed** is the mean share by which a feature is changed by it. "
            "**Evenness** is the entropy of α over that of an even map: at 1 all cells weigh the same. "
            "**Another seed** is how alike maps (rank correlation, 1 for equal ones) of two fits are that "
            "differ in nothing but the seed, beside that of attentions that were never fitted."
        ),
        _worth(results),
        Text(
            "The test of Adebayo et al. (2018): the weights of ever more layers are shuffled, from the "
            "output down, and a map that stays alike says nothing of what these layers have learned. α does "
            "not depend on the layers behind it, and cannot tell what they make of it. The smoothed form "
            "(Hedström et al. 2024) compares means of maps over copies of each image with noise, so that "
            "noise of the maps themselves does not pass for a change."
        ),
        _shuffled(results),
    ]
    located = {cell: of for cell, of in results.maps.items() if of["location"] is not None}
    if located:
        blocks += [
            Text(
                "Where a table marks the finding in each image, it is measured whether a map lies on it. The "
                "**lift** is the share of the map inside the box over the box's share of the area: 1 is what "
                "a map has that knows nothing. A **hit** is an image whose largest cell touches the box. "
                "Intervals and differences (attention minus the other map) are by bootstrap over "
                f"{_units(located)}."
            ),
            *(_located(results, cell, of["location"]) for cell, of in located.items()),
        ]
    cells = [*located, *(cell for cell in results.maps if cell not in located)]
    shown = [cell for cell in cells if cell in results.map_pictures]
    blocks += [_picture(results, cell) for cell in shown[:_EMBEDDED]]
    if len(shown) > _EMBEDDED:
        folder = (Paths(results.config.profile).results / "maps").as_posix()
        blocks.append(
            Text(f"The same of {count(len(shown) - _EMBEDDED, 'other network')}: `{folder}/<cell>.webp`.")
        )
    return Section("maps", title, blocks)


def _units(located: Mapping[Cell, Record]) -> str:
    """What the intervals resample."""
    return " or ".join(dict.fromkeys(str(of["location"]["unit"]) for of in located.values()))


def _name(results: Results, cell: Cell) -> str:
    return f"{results.dataset(cell.dataset).title}, {results.title(cell.backbone)}, {cell.recipe}"


def _worth(results: Results) -> Table:
    rows = []
    for cell, of in results.maps.items():
        again = of.get("repeated")
        kinds = ("attention", "untrained", "gradcam")
        rows.append(
            [
                _name(results, cell),
                f"{of['images']:,}",
                signed(f"{of['gamma']:.4f}"),
                percent(of["changed"]),
                decimal(of["evenness"]),
                *("" if again is None else signed(f"{again[kind]:.2f}") for kind in kinds),
            ]
        )
    columns = (
        "network, with attention", "images", "γ", "changed", "evenness of α",
        "another seed: α", "α never fitted", "Grad-CAM",
    )  # fmt: skip
    return Table(
        "What the attention does, and how alike another fit's maps are", columns, "l" + "r" * 7, rows
    )


def _shuffled(results: Results) -> Table:
    rows = []
    for cell, of in results.maps.items():
        first, last = of["shuffled"][0], of["shuffled"][-1]
        own = next((step for step in of["shuffled"] if step["layer"] == "soft_attention"), last)
        # Behind the attention nothing changes α.
        compared = [(own, "attention"), (last, "attention")]
        compared += [(step, "gradcam") for step in (first, own, last)]
        found = [step.get(key) for step, kind in compared for key in (kind, f"{kind}_smoothed")]
        rows.append([_name(results, cell), *("" if one is None else signed(f"{one:.2f}") for one in found)])
    columns = (
        "network, with attention",
        "down to the attention: α", "smoothed", "backbone, too: α", "smoothed",
        "output layer: Grad-CAM", "smoothed", "down to the attention: Grad-CAM", "smoothed",
        "backbone, too: Grad-CAM", "smoothed",
    )  # fmt: skip
    return Table("How alike maps stay once weights are shuffled", columns, "l" + "r" * 10, rows)


def _located(results: Results, cell: Cell, of: Record) -> Table:
    rows = [
        [
            _MAPS[name],
            _with_bounds(maps, "lift", 1),
            _with_bounds(maps, "hits", 100),
            "" if name == "attention" else _with_bounds(maps, "difference", 1, sign=True),
        ]
        for name in _MAPS
        for maps in [of["maps"][name]]
    ]
    caption = (
        f"{_name(results, cell)}: {of['images']:,} images, {of['clusters']:,} × {of['unit']}, the box has "
        f"{100 * of['area']:.2f} % of the image"
    )
    return Table(caption, ("map", "lift", "hits, %", "attention minus it, lift"), "lrrr", rows)


def _with_bounds(values: Record, name: str, factor: float, *, sign: bool = False) -> str:
    decimals = 1 if factor == 100 else 2
    shown = (
        signed(f"{factor * values[key]:{'+' if sign else ''}.{decimals}f}")
        for key in (name, f"{name}_low", f"{name}_high")
    )
    value, low, high = shown
    return f"{value} ({low} to {high})"


def _picture(results: Results, cell: Cell) -> Picture:
    content = results.map_pictures[cell]
    with Image.open(io.BytesIO(content)) as image:
        width = image.size[0]
    boxed = " Frames mark the finding." if results.maps[cell]["location"] is not None else ""
    name = _name(results, cell)
    return Picture(
        "data:image/webp;base64," + base64.b64encode(content).decode(),
        f"Images of each class, rightly and wrongly classified by {name}; beside each its attention map and "
        f"Grad-CAM in colours over it.{boxed}",
        f"{name}: images, attention map and Grad-CAM; bright is most of each map.{boxed}",
        width,
        f"maps/{cell.name}.json",
    )
