"""Figures as data URIs, small enough for one page that needs nothing beside itself."""

from __future__ import annotations

import base64
import io
from urllib.parse import quote

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from lung_attention.images.decode import Pixels
from lung_attention.report.compact import compact

_PX_PER_INCH = 96  # CSS
_QUALITY = 74  # of JPEG


def svg_text(figure: Figure) -> str:
    """A line drawing as an SVG file; the same drawing gives the same text."""
    stream = io.StringIO()
    # Text stays text, and ids depend on the drawing alone: the same scores give the same page.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lung-attention"}):
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def svg_uri(figure: Figure) -> str:
    """A line drawing as a compact SVG data URI without double quotes."""
    # Single quotes need no escape in the page.
    text = compact(svg_text(figure)).replace('"', "'")
    return "data:image/svg+xml," + quote(text, safe=" '/:=;,()-.!~*@?+$")


def photo_uri(pixels: Pixels) -> str:
    """A photograph as a JPEG data URI, pixel by pixel: uint8 `(height, width, 3)`, RGB."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="jpeg", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()


def width_px(figure: Figure) -> int:
    """The width at which a figure's text has its nominal size."""
    return round(float(figure.get_figwidth()) * _PX_PER_INCH)
