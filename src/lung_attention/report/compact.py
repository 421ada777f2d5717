"""Line drawings with few bytes: SVG with relative paths, shared styles, and colours for dark pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_NEEDLESS = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>"  # a browser needs none of these
    r"| transform=\"rotate\(-0[^\"]*\"",  # no rotation
    re.DOTALL,
)
_FONTS = re.compile(r"'DejaVu Sans'[^;]*")  # and all that may stand in its place
_NUMBER = re.compile(r"-?\d+\.\d+")
_STEP = re.compile(r"[A-Za-z]|-?\d+(?:\.\d+)?(?:e-?\d+)?")
_LENGTHS = {"M": 2, "L": 2, "Q": 4, "C": 6}
_COLOR = re.compile(r"(fill|stroke):(#[0-9a-f]{6})")
_ON_DARK = {
    "#ffffff": "#14181d", "#000000": "#e6e9ed", "#e5e7eb": "#39414b", "#f6f7f9": "#1c2228",
    "#6b7280": "#9aa4b2", "#374151": "#c9d0d9", "#0072b2": "#5ab4f0", "#d55e00": "#ff8f52",
    "#009e73": "#43cf9f", "#cc79a7": "#e3a0c6", "#56b4e9": "#9bd6ff", "#e69f00": "#ffc04d",
}  # fmt: skip
"""Colours of `plots.style` and what stands for them on a dark page (`--paper` of report.css); others stay."""
_ROUNDED = ("x", "y", "width", "height", "transform", "viewBox")


def compact(svg: str) -> str:
    """The same drawing with few bytes: coordinates in tenths of a point, everything said once.

    Where the reader prefers dark pages, it is drawn in light colours on a dark ground.

    Args:
        svg: What Matplotlib writes, with text as text.

    Returns:
        One line of SVG in which a browser finds the same picture.

    Raises:
        ValueError: A path has a step that Matplotlib does not write.
    """
    root = ElementTree.fromstring(_NEEDLESS.sub("", svg))
    _unwrap(root)
    names = _short_names(root)
    styles: dict[str, str] = {}
    for one in root.iter():
        if "d" in one.attrib:
            one.set("d", relative(one.attrib["d"]))
        for key in _ROUNDED:
            if key in one.attrib:
                one.set(key, _NUMBER.sub(lambda match: _text(_tenths(match[0])), one.attrib[key]))
        if _LINK in one.attrib:  # browsers of today need no namespace for it
            target = "".join(one.attrib.pop(_LINK).split())
            # A link that is no name within the drawing is an image with all its bytes.
            one.set("href", f"#{names[target[1:]]}" if target.startswith("#") else target)
        if "id" in one.attrib:
            one.set("id", names[one.attrib["id"]])
        said = (
            [_FONTS.sub("DejaVu Sans, sans-serif", one.attrib.pop("style"))] if "style" in one.attrib else []
        )
        if "clip-path" in one.attrib:
            said.append(f"clip-path:url(#{names[one.attrib.pop('clip-path')[5:-1]]})")
        if said:
            style = re.sub(r"\s*([:;,])\s*", r"\1", ";".join(said))
            one.set("class", styles.setdefault(style, f"s{len(styles)}"))
    sheet = next(root.iter(f"{_SVG}style"))
    sheet.text = (sheet.text or "").strip() + _rules(styles)
    ElementTree.register_namespace("", _SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")


def _rules(styles: Mapping[str, str]) -> str:
    """The classes of a drawing, and how they differ on a dark page; a text without a colour is black."""
    dark = {"text": f"fill:{_ON_DARK['#000000']}"}
    for css, name in styles.items():
        told = [f"{what}:{_ON_DARK[color]}" for what, color in _COLOR.findall(css) if color in _ON_DARK]
        dark[f".{name}"] = ";".join(told)
    rules = "".join(f".{name}{{{css}}}" for css, name in styles.items())
    changed = "".join(f"{name}{{{css}}}" for name, css in dark.items() if css)
    return f"{rules}@media screen and (prefers-color-scheme:dark){{{changed}}}"


def _unwrap(element: Element) -> None:
    """Puts the contents of groups that say nothing in their place, and drops the space between tags."""
    children: list[Element] = []
    for child in element:
        child.tail = None
        if child.tag == f"{_SVG}text":
            children.append(child)  # within a text, space is to be seen
            continue
        _unwrap(child)
        if child.tag == f"{_SVG}g" and not set(child.attrib) - {"id"}:
            children.extend(child)
        else:
            children.append(child)
    if len(element):
        element.text = None
    for child in list(element):
        element.remove(child)
    element.extend(children)


def _short_names(root: Element) -> dict[str, str]:
    """A short name for each element that has one."""
    found = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    return {name: f"i{number}" for number, name in enumerate(dict.fromkeys(found))}


def relative(path: str) -> str:
    """A path in steps from point to point, in tenths: "M 10 10 L 12.04 9.5" as "M10 10l2-.5".

    Points are rounded before steps are taken, so that no error adds up.

    Args:
        path: Absolute steps M, L, Q, C and z.

    Returns:
        The same path, its steps but M relative; steps that lead nowhere are left out, and lines along an
        axis are h and v.

    Raises:
        ValueError: There is another step.
    """
    said: list[tuple[str, list[int]]] = []
    here = start = [0, 0]
    for step, numbers in _steps(path):
        if step in "Zz":
            said.append(("z", []))
            here = start
            continue
        end = numbers[-2:]
        if step == "M":
            said.append(("M", end))
            here = start = end
            continue
        flat = [value - here[place % 2] for place, value in enumerate(numbers)]
        here = end
        # A lone step to the same place is a dot.
        if not any(flat) and said[-1][0] != "M":
            continue
        letter = step.lower()
        if letter == "l" and 0 in flat:
            letter, flat = ("v", flat[1:]) if flat[0] == 0 else ("h", flat[:1])
            # Straight on: one step instead of two.
            if said[-1][0] == letter and said[-1][1][0] * flat[0] > 0:
                flat = [said.pop()[1][0] + flat[0]]
        said.append((letter, flat))
    return _told(said)


def _told(steps: Sequence[tuple[str, Sequence[int]]]) -> str:
    """Steps as the text of a path: a letter where it changes, blanks where a reader needs one."""
    text, last = "", ""
    for letter, numbers in steps:
        joined = _joined(numbers)
        again = letter == last and letter not in "Mz"
        text += letter + joined if not again else joined if joined.startswith("-") else " " + joined
        last = letter
    return text


def _steps(path: str) -> Iterator[tuple[str, list[int]]]:
    tokens = _STEP.findall(path)
    place = 0
    step = ""
    while place < len(tokens):
        if tokens[place].isalpha():
            step = tokens[place]
            place += 1
        if step not in {*_LENGTHS, "Z", "z"}:
            raise ValueError(f"Expected steps M, L, Q, C and z. Received: {step!r}")
        length = _LENGTHS.get(step, 0)
        yield step, [_tenths(token) for token in tokens[place : place + length]]
        place += length


def _tenths(number: str) -> int:
    return round(10 * float(number))


def _text(tenths: int) -> str:
    """A number of tenths: 123 as "12.3", 5 as ".5", -20 as "-2"."""
    whole, rest = divmod(abs(tenths), 10)
    sign = "-" if tenths < 0 else ""
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole or ''}.{rest}"


def _joined(numbers: Sequence[int]) -> str:
    """Numbers with blanks only where a reader needs one."""
    text = ""
    for number in map(_text, numbers):
        text += number if not text or number.startswith("-") else f" {number}"
    return text
