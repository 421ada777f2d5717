"""Images with maps of a network beside them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from lung_attention.images.crop import centre_crop
from lung_attention.plots.style import words

_COLUMNS = 2  # images side by side, each with its two maps
_SIDE_IN = 1.7
_TITLE_IN = 0.25
_DPI = 110
_STRENGTH = 0.6


@dataclass(frozen=True)
class Looking:
    """One image and where a network looks.

    Attributes:
        image: uint8 `(height, width, 3)`.
        crop_px: Side of the square around its centre that the network sees; None for all of it.
        attention: `(rows, cols)`.
        gradcam: `(rows, cols)`.
        truth: Its class.
        predicted: The class that the network says.
        probability: Of that.
        box: Left, top, right and bottom of what is marked, as fractions of what is seen; None for nothing.
    """

    image: npt.NDArray[np.uint8]
    crop_px: int | None
    attention: npt.NDArray[np.float64]
    gradcam: npt.NDArray[np.float64]
    truth: str
    predicted: str
    probability: float
    box: tuple[float, ...] | None


def map_sheet(lookings: Sequence[Looking]) -> Figure:
    """Draws images in two columns; beside each its attention map and Grad-CAM over it.

    Colours run from the least to the greatest value of each map, so shapes can be compared and heights not.
    """
    lines = -(-len(lookings) // _COLUMNS)
    width, height = _COLUMNS * 3 * _SIDE_IN, lines * (_SIDE_IN + _TITLE_IN)
    figure = Figure(figsize=(width, height), dpi=_DPI)
    axes = figure.subplots(lines, 3 * _COLUMNS, squeeze=False)
    figure.subplots_adjust(
        left=0.005,
        right=0.995,
        bottom=0.005,
        top=1 - _TITLE_IN / height,
        wspace=0.03,
        hspace=_TITLE_IN / _SIDE_IN,
    )
    for ax in axes.flat:
        ax.set_axis_off()
    for number, one in enumerate(lookings):
        line, column = divmod(number, _COLUMNS)
        left, middle, right = axes[line, 3 * column : 3 * column + 3]
        seen = centre_crop(one.image, one.crop_px)
        for ax, over in ((left, None), (middle, one.attention), (right, one.gradcam)):
            _draw(ax, seen, over, one.box)
        verdict = "right" if one.truth == one.predicted else "wrong"
        # Over all three, since names of classes may be longer than one is wide.
        said = f"said: {words(one.predicted)}, {100 * one.probability:.0f} % ({verdict})"
        left.set_title(f"{words(one.truth)}; {said}", fontsize=8, loc="left")
        for ax, name in ((middle, "attention"), (right, "Grad-CAM")):
            ax.text(
                0.03, 0.04, name, fontsize=7, va="top", color="black",
                bbox={"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.8, "linewidth": 0},
            )  # fmt: skip
    return figure


def picture_of(figure: Figure) -> Image.Image:
    """A figure as an RGB picture."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, facecolor="white")
    return Image.open(stream).convert("RGB")


def _draw(
    ax: Axes,
    image: npt.NDArray[np.uint8],
    over: npt.NDArray[np.float64] | None,
    box: tuple[float, ...] | None,
) -> None:
    # What the network sees is squeezed to a square.
    ax.imshow(image, extent=(0, 1, 1, 0), aspect="equal", interpolation="bilinear")
    if over is not None:
        spread = over.max() - over.min()
        height = (over - over.min()) / (spread if spread > 0 else 1)
        ax.imshow(
            height,
            extent=(0, 1, 1, 0),
            cmap="inferno",
            alpha=_STRENGTH,
            interpolation="bicubic",
            vmin=0,
            vmax=1,
        )
    if box is not None:
        left, top, right, bottom = box
        # A mark of two pixels would not be seen; the frame is drawn around it.
        wide, high = max(right - left, 0.06), max(bottom - top, 0.06)
        corner = ((left + right - wide) / 2, (top + bottom - high) / 2)
        ax.add_patch(Rectangle(corner, wide, high, fill=False, edgecolor="#00E5FF", linewidth=1.2))
    ax.set_xlim(0, 1)
    ax.set_ylim(1, 0)
