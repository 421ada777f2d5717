"""The section on where networks look, and the answer to whether they look at what is marked."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from lung_attention.cells import Cell
from lung_attention.paths import Paths
from lung_attention.report.answers import ON_STAND_INS
from lung_attention.report.blocks import Block, Missing, Picture, Section, Table, Text
from lung_attention.report.collect import Results
from lung_attention.report.numbers import decimal, percent, percent_range, signed

LOOKS = "Does the attention look at the finding?"

_MAPS = {
    "attention": "attention α",
    "untrained": "attention never fitted",
    "gradcam": "Grad-CAM",
    "mean": "mean α of all images, for each",
    "centre": "bell over the centre",
    "moved": "α, its cells in a random order",
}
_EMBEDDED = 1  # picture; the others lie beside the report

Record = Mapping[str, Any]


def looks_answer(results: Results) -> str | None:
    """Whether the attention lies on what is marked; None where nothing is marked."""
    located = {cell: of for cell, of in results.maps.items() if of["location"] is not None}
    if not located:
        return None
    preface = ON_STAND_INS if results.tag else ""
    kinds = dict.fromkeys((cell.dataset, cell.recipe) for cell in located)
    return preface + " ".join(
        _answer_on(
            f"{results.dataset(dataset).title}, {recipe} recipe",
            [of["location"]["maps"] for cell, of in located.items() if (cell.dataset, cell.recipe) == kind],
        )
        for kind in kinds
        for dataset, recipe in [kind]
    )


def _answer_on(title: str, found: Sequence[Record]) -> str:
    chance = sum(maps["attention"]["lift_low"] > 1 for maps in found)
    fitted, own = (
        sum(maps[rival]["difference_low"] > 0 for maps in found) for rival in ("untrained", "mean")
    )
    if min(chance, fitted, own) == len(found):
        verdict = "yes"
    elif not fitted:
        verdict = "not shown, no fitted attention does more than one that was never fitted"
    else:
        verdict = "in part"
    lifts = [maps["attention"]["lift"] for maps in found]
    low, high = f"{min(lifts):.2f}", f"{max(lifts):.2f}"
    times = low if low == high else f"{low} to {high}"
    hits = percent_range([maps["attention"]["hits"] for maps in found])
    return (
        f"{title}: {verdict}. Inside the box the attention is {times} times as dense as over the image: "
        f"beyond sampling error above 1 in {chance} of {len(found)} networks, above an attention that was "
        f"never fitted in {fitted}, above the mean map of all images in {own}. Its largest value touches the "
        f"box in {hits} % of the images."
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
            "**Evenness** is the entropy of α over that of an even map: at 1 all cells weigh the same. The "
            "last columns are the test of Adebayo et al. (2018): the weights of ever more layers are "
            "shuffled, from the output down, and a map that stays alike (rank correlation, 1 for equal maps) "
            "says nothing of what these layers have learned. α does not depend on the layers behind it, and "
            "cannot tell what they make of it."
        ),
        _worth(results),
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
            Text(f"The same of the other {len(shown) - _EMBEDDED} networks: `{folder}/<cell>.webp`.")
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
        steps = of["shuffled"]
        own = next((step for step in steps if step["layer"] == "soft_attention"), steps[-1])
        rows.append(
            [
                _name(results, cell),
                f"{of['images']:,}",
                signed(f"{of['gamma']:.4f}"),
                percent(of["changed"]),
                decimal(of["evenness"]),
                *(signed(f"{steps[0][kind]:.2f}") for kind in ("attention", "gradcam")),
                *(signed(f"{own[kind]:.2f}") for kind in ("attention", "gradcam")),
                *(signed(f"{steps[-1][kind]:.2f}") for kind in ("attention", "gradcam")),
            ]
        )
    columns = (
        "network, with attention", "images", "γ", "changed", "evenness of α",
        "output layer shuffled: α", "Grad-CAM", "attention, too: α", "Grad-CAM",
        "backbone, too: α", "Grad-CAM",
    )  # fmt: skip
    return Table("What the attention does, and how alike maps stay", columns, "l" + "r" * 10, rows)


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
    )
